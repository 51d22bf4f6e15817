import assert from "node:assert/strict";
import test from "node:test";
import { isInlinePicture, safeAddress } from "../../../src/thalweg/web/lib/links.js";

const ADDRESSES = [
  ["https://a.example/b?c#d", "https://a.example/b?c#d"],
  ["http://a.example", "http://a.example/"],
  ["HTTPS://A.example", "https://a.example/"],
  ["mailto:a@b.example", "mailto:a@b.example"],
  ["javascript:alert(1)", null],
  ["JaVaScRiPt:alert(1)", null],
  [" javascript:alert(1)", null],
  ["java\nscript:alert(1)", null],
  ["\u0001javascript:alert(1)", null],
  ["data:text/html,<script>", null],
  ["vbscript:x", null],
  ["file:///etc/passwd", null],
  ["blob:https://a.example/x", null],
  ["//a.example", null],
  ["/relative", null],
  ["#fragment", null],
  ["", null],
];

for (const [address, safe] of ADDRESSES)
  test(`link to ${JSON.stringify(address)}`, () => assert.equal(safeAddress(address), safe));

const PICTURES = [
  ["data:image/png;base64,iVBORw0KGgo=", true],
  ["data:image/svg+xml;base64,PHN2Zz4=", false],
  ["data:image/png,<svg>", false],
  ["data:text/html;base64,AAAA", false],
  ["https://a.example/x.png", false],
];

for (const [address, shown] of PICTURES)
  test(`picture at ${address}`, () => assert.equal(isInlinePicture(address), shown));
