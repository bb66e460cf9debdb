"""Names and texts by people who do not mean well. One list, run through whatever shows or keeps words."""

from __future__ import annotations

TEXTS: dict[str, str] = {
    "escapes": "\x1b[31mred\x1b[0m\x1b]0;title\x07\x9b2J",
    "controls": "a\x00b\x07\x08c\x0b\x0c\x7f\x85d",
    "line ends": "a\r\nb\nc\rd\u2028e\u2029f",
    "a forged line of a log": "x\n12:00:00 ERROR hubbot.app: all is lost",
    "right to left": "\u202egnp.exe\u202c \u2066x\u2069 \u200f",
    "never closed": "\u202e\u2067\u202d",
    "nothing to see": "a\u200bb\ufeffc\u00add\u2060\U000e0041",
    "markdown": "](http://evil.example) **b** `c` ``` ~~~ # h | t | ![](http://evil.example/x) @all #1",
    "html": "\"'><script>alert(1)</script><img src=x onerror=alert(1)></style><!--&amp;",
    "address": "javascript:alert(document.cookie)",
    "template": "${7*7} {{7*7}} <%= 7 %> %s %(x)s {0!r} {x.__class__}",
    "markup of rich": "[bold red]x[/] [link=http://evil.example]y[/link] [/nothing] :boom:",
    "sql": "'; DROP TABLE uploads; --",
    "like": "%_\\%",
    "path": "../../../../etc/passwd",
    "absolute path": "/etc/passwd",
    "path of another system": "..\\..\\C:\\con\\nul.txt",
    "dots": "..",
    "homoglyphs": "gооgle/bеrt-bаse",
    "option": "--help",
    "short option": "-rf",
    "surrogate": "\ud800x\udfff",
    "shell": "$(touch /tmp/x); `id` | sh && # \\",
    "sheet": "=cmd|' /C calc'!A0",
    "yaml": "a: b\n- !!python/object/apply:os.system [id]",
    "xml": "]]><x/>&e;<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>\ufffe\uffff",
    "dot": 'x"]; evil [label="y\\',
    "heap of marks": "z" + "\u0301\u0489" * 60,
    "long": "x" * 20_000,
    "long and wide": "\U0001f917" * 5_000,
    "nothing": "",
    "blanks": " \t\u00a0\u3000 ",
}
"""By what is nasty about them."""
