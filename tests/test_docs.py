"""Pages that are made from tables say what the tables say. `python -m tests.test_docs` writes them anew."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from tests.cli.terminal import thalweg
from tests.translation_tables import TABLES as TRANSLATED
from thalweg.cli.checks import CHECKS
from thalweg.cli.main import COMMANDS
from thalweg.cli.passage import DIRECTIVES
from thalweg.config import VARIABLES, Settings, load, table
from thalweg.config.errors import Phrase
from thalweg.config.groups import Several
from thalweg.config.groups import Table as FileTable
from thalweg.config.keys import SecretKind
from thalweg.config.kinds import Choices, FilePath, Url
from thalweg.dialects.anthropic_messages.tables import REPAIRS as OF_ANTHROPIC
from thalweg.dialects.gemini.tables import REPAIRS as OF_GEMINI
from thalweg.dialects.openai_chat.repairs import ROWS as OF_CHAT
from thalweg.dialects.openai_responses.repairs import ROWS as OF_RESPONSES
from thalweg.profiles.providers import PROVIDERS
from thalweg.server.log import FIELDS, OTHER_FIELDS
from thalweg.server.metrics import METRICS
from thalweg.simulator.catalogue import FAILING, MODELS
from thalweg.simulator.faults.table import FAULTS
from thalweg.simulator.knobs import ROWS as KNOBS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "repairs.md"

HEAD = """# Repairs

With the same dialect on both sides the provider's bytes pass as they came, but for frames that are known to break the
dialect's SDKs or the code that tutorials teach. Each mend is a row of this table; a provider's profile names the rows
that apply to its streams. Only a frame that needs it is edited, only where it needs it: every other value keeps its
very bytes and its place. One row, `lost-signature`, is of requests. A request switches all of them off with the header
`x-thalweg-raw: 1`.

Usage that the client did not ask for is withheld also without repairs, and an error in a stream is always said in the
one form that every client understands.
"""

REPAIRS: dict[str, tuple[str, Mapping[str, str]]] = {
    "openai-chat": ("OpenAI Chat", {row.name: row.why for row in OF_CHAT}),
    "openai-responses": ("OpenAI Responses", {row.name: row.why for row in OF_RESPONSES}),
    "anthropic": ("Anthropic Messages", OF_ANTHROPIC),
    "gemini": ("Gemini", OF_GEMINI),
}
"""By dialect: its title, and why each row is needed."""


def render() -> str:
    """The page."""
    return HEAD + "".join(_repairs(dialect, title, rows) for dialect, (title, rows) in REPAIRS.items())


def _repairs(dialect: str, title: str, rows: Mapping[str, str]) -> str:
    lines = [f"\n## {title}\n", "| row | why, and what is sent instead | left out for |", "| --- | --- | --- |"]
    for name, why in rows.items():
        without = [p.title for p in PROVIDERS if p.dialect == dialect and name not in p.profile.repairs]
        lines.append(f"| `{name}` | {why} | {', '.join(without)} |")
    return "\n".join(lines) + "\n"


def test_the_page_of_repairs_is_the_table_of_repairs() -> None:
    assert PAGE.read_text(encoding="utf-8") == render()


SIMULATOR = PAGE.with_name("simulator.md")
_GENERATED = re.compile(r"<!-- (\w+), generated -->\n(?:.*?\n)??<!-- end -->", re.DOTALL)


def _table(head: str, rows: Iterable[str]) -> str:
    return "\n".join([head, re.sub(r"[^|]+", " --- ", head), *rows]) + "\n"


def _models() -> str:
    rows = [f"| `sim/{name}` | {model.says} |" for name, model in MODELS.items() if name not in FAILING]
    return _table("| model | what it does |", rows)


def _failing() -> str:
    rows = [f"| `sim/{name}` | `{model.knobs.fault[0]}` | {model.says} |" for name, model in FAILING.items()]
    return _table("| model | fault | what happens |", rows)


def _knobs() -> str:
    rows = [f"| `{row.name}` | {row.wanted} | {_default(row.default)} | {row.says} |" for row in KNOBS.values()]
    return _table("| knob | value | unless turned | what it does |", rows)


def _default(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else "none"


def _faults() -> str:
    return _table("| fault | what happens |", [f"| `{name}` | {says} |" for name, says in FAULTS.items()])


TABLES = {"models": _models, "failing": _failing, "knobs": _knobs, "faults": _faults}


def with_tables(page: str, tables: Mapping[str, Callable[[], str]] = TABLES) -> str:
    """A page with the tables that the code has, between the marks that name them."""
    return _GENERATED.sub(lambda found: f"<!-- {found[1]}, generated -->\n{tables[found[1]]()}<!-- end -->", page)


def test_the_tables_of_the_simulators_page_are_the_codes() -> None:
    page = SIMULATOR.read_text(encoding="utf-8")
    assert _GENERATED.findall(page) == list(TABLES)
    assert with_tables(page) == page


COMMAND_LINE = PAGE.with_name("command-line.md")

COMMAND_LINE_HEAD = """# Command line

What `thalweg --help` and the help of each command say. In Chinese with `THALWEG_LANG=zh`, or where the locale is Chinese.

Standard output is data; what else there is to say goes to standard error. Colour is for terminals, and not where
`NO_COLOR` is set. `--json` prints JSON, whose names are the same in every language.

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | failed |
| 2 | wrong usage |
| 3 | wrong setting |
| 4 | unreachable |
| 130 | interrupted |

"""


def render_command_line(home: Path) -> str:
    """The page, from the help that a terminal of 80 columns shows. Nothing is read from or written to `home`."""
    sections = [("thalweg", thalweg(home, "--help"))]
    sections += [(f"thalweg {name}", thalweg(home, name, "--help")) for name in COMMANDS]
    pages = [f"## {title}\n\n```text\n{done.stdout.strip()}\n```\n" for title, done in sections]
    return COMMAND_LINE_HEAD + "\n".join(pages)


def test_the_page_of_the_command_line_is_its_help(tmp_path: Path) -> None:
    assert COMMAND_LINE.read_text(encoding="utf-8") == render_command_line(tmp_path)


OBSERVABILITY = PAGE.with_name("observability.md")


def _metrics() -> str:
    rows = [
        f"| `thalweg_{row.name}` | {row.kind} | {', '.join(f'`{label}`' for label in row.labels)} | {row.help} |"
        for row in METRICS
    ]
    return _table("| metric | kind | labels | what |", rows)


def _fields(fields: dict[str, str]) -> str:
    return _table("| field | what |", [f"| `{name}` | {what} |" for name, what in fields.items()])


SEEN = {"metrics": _metrics, "fields": lambda: _fields(FIELDS), "others": lambda: _fields(OTHER_FIELDS)}


def test_the_tables_of_metrics_and_of_the_log_are_the_codes() -> None:
    page = OBSERVABILITY.read_text(encoding="utf-8")
    assert _GENERATED.findall(page) == list(SEEN)
    assert with_tables(page, SEEN) == page


DOCTOR = PAGE.with_name("doctor.md")


def _directives() -> str:
    proxies = list(DIRECTIVES)
    kinds = list(next(iter(DIRECTIVES.values())))
    rows = [f"| {kind} | {' | '.join(f'`{DIRECTIVES[proxy][kind]}`' for proxy in proxies)} |" for kind in kinds]
    return _table(f"| | {' | '.join(proxies)} |", rows)


def test_the_table_of_directives_is_the_codes() -> None:
    page = DOCTOR.read_text(encoding="utf-8")
    assert with_tables(page, {"directives": _directives}) == page


def test_the_page_of_the_doctor_names_every_check() -> None:
    page = DOCTOR.read_text(encoding="utf-8")
    assert all(f"`{check.name}`" in page for check in CHECKS)


SETTINGS = PAGE.with_name("settings.md")


def _variables() -> str:
    usual, mib = Settings(home=Path()), 1024 * 1024
    defaults: dict[str, object] = {
        "THALWEG_HOST": usual.host,
        "THALWEG_PORT": usual.port,
        "THALWEG_HOME": "the XDG data folder",
        "THALWEG_LOG": usual.log,
        "THALWEG_SIMULATE": int(usual.simulate),
        "THALWEG_FIND_ENGINES": int(usual.find_engines),
        "THALWEG_FETCH_MODELS": int(usual.fetch_models),
        "THALWEG_DRAIN_S": f"{usual.limits.drain_s:g}",
    }
    defaults["THALWEG_ATTEMPTS"] = usual.attempts.most
    timeouts = {field: getattr(usual.timeouts, field) for field in usual.timeouts.__struct_fields__}
    defaults |= {f"THALWEG_TIMEOUT_{field.upper()}": f"{seconds:g}" for field, seconds in timeouts.items() if seconds}
    defaults = {name: default for name, default in defaults.items() if not name.startswith("THALWEG_TIMEOUT_FLOOR")}
    sizes = {field: getattr(usual.buffers, f"{field}_bytes") // mib for field in ("frame", "answer")}
    defaults |= {f"THALWEG_{field.upper()}_MB": size for field, size in sizes.items()}
    defaults["THALWEG_RECORD_MB"] = usual.recording.most_bytes // mib
    defaults["THALWEG_REPLAY"] = "that of recordings, else `recordings` in the home"
    defaults["THALWEG_BUFFER_MB"] = usual.buffers.total_bytes // mib
    assert defaults.keys() <= VARIABLES.keys()
    rows = [f"| `{name}` | {what} | {defaults.get(name, '')} |" for name, what in VARIABLES.items()]
    return _table("| variable | what | unless set |", rows)


def _of_providers() -> str:
    rows, places = [], {row.name: row.base_url_variable for row in PROVIDERS}
    for row in PROVIDERS:
        main = places.get(row.sibling_of)
        if main == row.base_url_variable:
            continue
        keys = " or ".join(f"`{name}`" for name in row.key_variables)
        beside = f", or that path at the host of `{main}`" if main else ""
        rows.append(f"| {row.title} | {keys} | `{row.base_url_variable}` | `{row.base_url}`{beside} |")
    return _table("| provider | key | address | unless set |", rows)


SET = {"variables": _variables, "providers": _of_providers}


def test_the_tables_of_settings_are_the_codes() -> None:
    page = SETTINGS.read_text(encoding="utf-8")
    assert _GENERATED.findall(page) == list(SET)
    assert with_tables(page, SET) == page


CONFIGURATION = PAGE.with_name("configuration.md")
EXAMPLE = PAGE.with_name("thalweg.example.toml")
_KINDS = {FilePath: "a path", Url: "an address", Choices: "a list of names", FileTable: "a table", Several: "a list"}


def _wanted(kind: Any) -> str:
    """What may stand there, in words."""
    if isinstance(kind, SecretKind):
        return "a key" if kind.wanted == "want_secret" else str(Phrase(kind.wanted))
    wanted = getattr(kind, "wanted", None)
    return str(wanted) if wanted is not None else _KINDS[type(kind)]


def _rows_of(table: FileTable) -> str:
    variables = any(row.variable for row in table.rows)
    rows = []
    for row in table.rows:
        default = "" if row.default is None else f"`{msgspec.json.encode(row.default).decode()}`"
        variable = f" `{row.variable}` |" if row.variable else "  |" if variables else ""
        rows.append(f"| `{row.name}` | {_wanted(row.kind)} | {row.says} | {default} |{variable}")
    return _table("| key | value | what | unless set |" + (" variable |" if variables else ""), rows)


HELD: dict[str, FileTable] = {
    "server": table.SERVER,
    "limits": table.LIMITS,
    "buffers": table.BUFFERS,
    "recording": table.RECORDING,
    "timeouts": table.TIMEOUTS,
    "attempts": table.ATTEMPTS,
    "leave": table.LEAVE.kind,
    "provider": table.PROVIDER,
    "profile": table.PROFILE,
    "thinking": table.THINKING,
    "prefill": table.PREFILL,
    "alias": table.ALIAS.kind,
    "route": table.ROUTE.kind,
    "price": table.PRICES,
}
"""The tables of the page of the file, by their marks."""
FILED: dict[str, Callable[[], str]] = {name: partial(_rows_of, each) for name, each in HELD.items()}


def test_the_page_of_the_file_is_the_table_of_the_file() -> None:
    page = CONFIGURATION.read_text(encoding="utf-8")
    assert _GENERATED.findall(page) == list(FILED)
    assert with_tables(page, FILED) == page


def test_every_section_of_the_file_has_its_part_of_the_page() -> None:
    heads = re.findall(r"^## `\[?(\w+)", CONFIGURATION.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(heads) == sorted(table.FILE.names)


def test_the_example_of_the_file_is_right_and_shows_every_kind_of_section() -> None:
    settings = load({"ARK_API_KEY": "sk-1", "ARK_API_KEY_2": "sk-2", "MY_RELAY_KEY": "sk-3"}, config=EXAMPLE)
    assert settings.warnings == ()
    assert settings.aliases.keys() == {"fast", "steady", "shared"}
    assert settings.providers["my-relay"].ready
    assert len(settings.providers["ark"].more_keys) == 1
    assert settings.leave.kind == "linger"
    assert settings.prices


TRANSLATION = PAGE.with_name("translation.md")


def test_the_tables_of_translation_are_what_becomes_of_requests() -> None:
    page = TRANSLATION.read_text(encoding="utf-8")
    assert _GENERATED.findall(page) == list(TRANSLATED)
    assert with_tables(page, TRANSLATED) == page


QUOTED = PAGE.with_name("dialects.md")


def test_the_code_on_the_page_of_dialects_is_the_code() -> None:
    quotes = re.findall(r"```python\n# (src/\S+)\n(.*?)```", QUOTED.read_text(encoding="utf-8"), re.DOTALL)
    assert quotes
    for path, code in quotes:
        assert code in (QUOTED.parents[1] / path).read_text(encoding="utf-8")


INDEX = PAGE.with_name("README.md")


def test_every_page_is_in_the_index_or_in_that_of_its_folder() -> None:
    listed = set(re.findall(r"\]\(([\w./-]+)\)", INDEX.read_text(encoding="utf-8")))
    pages = {page.name for page in INDEX.parent.glob("*.md")} - {INDEX.name}
    folders = {f"{index.parent.name}/README.md" for index in INDEX.parent.glob("*/README.md")}
    assert pages | folders <= listed


WRITTEN = [
    *(PAGE.parents[1] / name for name in ("README.md", "README.zh.md", "CHANGELOG.md", "SECURITY.md")),
    *PAGE.parent.glob("**/*.md"),
]
MADE = {PAGE.with_name("conformance.md")}
"""What a command writes, and may not have written yet."""


def _anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_no_link_between_pages_leads_nowhere() -> None:
    lost = []
    for page in WRITTEN:
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            name, _, anchor = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            if "://" in link or target in MADE:
                continue
            if not target.exists() or (anchor and anchor not in _anchors(target)):
                lost.append(f"{page.name}: {link}")
    assert not lost


if __name__ == "__main__":
    CONFIGURATION.write_text(with_tables(CONFIGURATION.read_text(encoding="utf-8"), FILED), encoding="utf-8")
    TRANSLATION.write_text(with_tables(TRANSLATION.read_text(encoding="utf-8"), TRANSLATED), encoding="utf-8")
    SETTINGS.write_text(with_tables(SETTINGS.read_text(encoding="utf-8"), SET), encoding="utf-8")
    OBSERVABILITY.write_text(with_tables(OBSERVABILITY.read_text(encoding="utf-8"), SEEN), encoding="utf-8")
    COMMAND_LINE.write_text(render_command_line(Path("/nonexistent")), encoding="utf-8")
    PAGE.write_text(render(), encoding="utf-8")
    SIMULATOR.write_text(with_tables(SIMULATOR.read_text(encoding="utf-8")), encoding="utf-8")
