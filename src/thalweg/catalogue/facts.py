"""What models take and give, as values."""

from __future__ import annotations

import msgspec


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a model takes and gives. `None` means unknown."""

    context_window: int | None = None
    """The longest prompt, in tokens; of some providers it is the prompt and the answer together."""
    max_output_tokens: int | None = None
    input_modalities: tuple[str, ...] | None = None
    """Of `text`, `image`, `audio`, `video` and `document`."""
    output_modalities: tuple[str, ...] | None = None

    def filled(self, other: Facts | None) -> Facts:
        """The same with what is unknown here taken from the other."""
        if other is None:
            return self
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in self.__struct_fields__}
        return Facts(**{name: theirs if own is None else own for name, (own, theirs) in pairs.items()})
