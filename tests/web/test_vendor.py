"""Foreign code in the page is what its authors published, with its licence."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

VENDOR = Path(__file__).resolve().parents[2] / "src" / "thalweg" / "web" / "vendor"

SHA256 = {
    "highlight/LICENSE": "6c081431591d9df696c82dc598fe1423765b8a299b200ed00b281afd0f64c490",
    "highlight/core.min.js": "67a339aa68880a40c9803def9c8cebb2225dec76230382db86e349370dee70e9",
    "highlight/languages/bash.min.js": "7db1758fe6f04cd410760c29879812a3774edc54edcc91323511a24efc0b9e61",
    "highlight/languages/c.min.js": "edada72825cceb7dec51cc785efcc3e6378970917e11e4c7dfab29d0079e08a5",
    "highlight/languages/cpp.min.js": "aa67eeacdbbda9f40ca34c59147581aef1601f19b71a55966de4ccf4246e8c31",
    "highlight/languages/csharp.min.js": "74bb1a32b37d581173fc9d880ab5be6c7e448bbb12552c3e2a3ac7fc3c57cf8f",
    "highlight/languages/css.min.js": "2f4264d9a07a4f5446e51e2d93b0c0e031b4fd910e8e44984cd17f996a990b99",
    "highlight/languages/diff.min.js": "cbd7cf3b49bee36d6a0cf97789a7c5e68fbfd4231e86a81966f9b78c7bc127d0",
    "highlight/languages/dockerfile.min.js": "5a83ccd455a2910e9018f591fc1d2856ff5151ffa9889fc000542e16b329b039",
    "highlight/languages/go.min.js": "05658f281f7f12233cd891e879c8b9ebfd5998f5dc3f1e80632889ce61178534",
    "highlight/languages/ini.min.js": "b2330623daa8da0c4ef98891b97f393daa2e809721842c312f217e0339e255db",
    "highlight/languages/java.min.js": "7987da1c2dcc1d83f7a5a670cdc622fdac834cb1c140ad503bf8d7ea9237ac36",
    "highlight/languages/javascript.min.js": "c3dbd515a79e2c00ff4535aa5ad2fe539fb2587d047f9ab826107d0784da7bb6",
    "highlight/languages/json.min.js": "8f2343ffbcc4fdea4b336a4241d54d223d52f99b67729d2d6d3556bbf66908ae",
    "highlight/languages/markdown.min.js": "73cb474b4687421a0949ded1ba8314ec74c26058688dc7f6154084240352cc79",
    "highlight/languages/php.min.js": "d47d3e20ee16dd1a34bdc8bfa8a605801de7dac8bb33ee40e85cd28f2a6a7bf9",
    "highlight/languages/python.min.js": "fd5d479dcc9d07b957cf07b1df76d3d8fb6ee6f6d1437238d9530a9be724c046",
    "highlight/languages/rust.min.js": "fde151d2b246bef44c98da80e7cac3cbb05de794911305fe9a3adf6beff87659",
    "highlight/languages/shell.min.js": "9176dabac68529c73ab23303cb2e73392603f85438f58368fe80ded798a526b7",
    "highlight/languages/sql.min.js": "79bead5cf2bfa93d3982073d000a97802f394fe287736644bab30f40cb5c7380",
    "highlight/languages/typescript.min.js": "0e10ce9a81d42f8d43a54007ca7e31fe22ad801b2a2e1693d31736aa79fa5404",
    "highlight/languages/xml.min.js": "2e8c8ba1e7a200cd83dfbf9c746b8e00f7d7bad966dbfd83eca142cf2caa4dd7",
    "highlight/languages/yaml.min.js": "7010955f1f87aef1de085483d79d42817544aaf03c4f57a6fd4eb838f2cdf609",
    "streaming-markdown/LICENSE": "35f9d60ce9f83fba5a4eaceedf6994e133d7dc9d50ab9098b909eb23564ebabb",
    "streaming-markdown/smd.min.js": "20c0a39e6ec48b99e2f505f8488d2342fb3000d03523a7ced6cd94c14b15e8c5",
}
"""Every file, as it stands in the published package: streaming-markdown 0.2.15, @highlightjs/cdn-assets 11.12.0."""


def test_no_file_is_there_that_nobody_vouches_for() -> None:
    assert {str(path.relative_to(VENDOR)) for path in VENDOR.rglob("*") if path.is_file()} == {*SHA256, "README.md"}


@pytest.mark.parametrize(("path", "expected"), SHA256.items(), ids=SHA256.keys())
def test_a_file_is_what_was_published(path: str, expected: str) -> None:
    assert hashlib.sha256((VENDOR / path).read_bytes()).hexdigest() == expected


@pytest.mark.parametrize("folder", ["streaming-markdown", "highlight"])
def test_a_library_has_its_licence_and_its_line(folder: str) -> None:
    assert (VENDOR / folder / "LICENSE").stat().st_size > 500
    assert f"| `{folder}/` |" in (VENDOR / "README.md").read_text(encoding="utf-8")
