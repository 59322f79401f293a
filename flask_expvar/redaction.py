"""What must not be shown: rules for names and for texts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import lru_cache, partial
from math import log2
from re import Match

HIDDEN = "hidden"
MAX_LENGTH = 4096

# A mark counts inside one word: `process_name` holds no "ssn" and `skip_assets` no "pass".
_MARK = re.compile(
    "pass|pwd|secret|token|auth|cred|signature|signing|salt|session|cookie|csrf|xsrf|jwt|bearer"
    "|otp|ssn|cvv|dsn|cert|pem|vault|kube|license"
)
_MARK_OF_WORDS = re.compile(
    "apikey|accesskey|secretkey|privatekey|connectionstring|databaseur|webhook|keytab"
)
_KEY = re.compile("(?<!primary)(?<!sort)(?<!cache)keys?$")
_ADDRESS = re.compile("(?:uri|urls?)$")
_INNOCENT = frozenset(
    {"author", "authors", "bypass", "passthrough", "classname", "processname", "keys"}
)
_WHOLE_WORDS = frozenset({"pin", "pw"})
_HUMP = re.compile("[A-Z]?[a-z]+|[A-Z]+")
_NOT_ALNUM = re.compile(r"[\W_]+")

# Certificates and keys are named by files, and which file it is helps whoever looks.
_PLACE = re.compile("(?<!pro)files?$")
_KEY_FILE = re.compile(r"[\w./~-]+\.(?:key|pem|crt|cer|csr|p12|pfx|jks)")

# Every pattern takes linear time: a run of characters is tried from its first one only.
_PEM = re.compile(
    r"----[- ]BEGIN [A-Z0-9 ]{1,40}----.*?(?:---- ?END [A-Z0-9 ]{1,40}-{4,5}|\Z)", re.S
)
_URL = re.compile(r"//([^\s\"']+)")
_END_OF_HOST = re.compile("[/?#]")
_HOST_AND_PORT = re.compile(r"[^:]*(?::\d*)?|\[[^\]]*\](?::\d*)?")
_LOGIN = re.compile(r"[a-z][a-z._-]{0,15}\d{0,3}")
_ADDRESS_TEXT = re.compile(r"((?:[A-Za-z][\w+.-]*:)*//)(?:[^/?#]*@)?([^/?#]*)(.*)", re.S)
_SCHEME = re.compile(
    r"(?i:\b(digest +)(?=\w+ ?=)[^\r\n]+"
    r"|(authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?)[^\"'\r\n]+"
    r"|\b((?:bearer|negotiate)(?: +|: *))[\w.~+/=-]{4,})"
    r"|\b([Bb]asic +)(?=[A-Za-z0-9+/_-]{0,99}[A-Z0-9=])[A-Za-z0-9+/_-]{6,}=*"
)
# A header or a line of YAML. A colon is so common that few names count: `auth: ok` is no secret.
_AFTER_COLON = re.compile(
    r"(?i:(?<![\w-])((?:set-)?cookie: {1,3}"
    r"|x-(?:[a-z]{1,20}-){0,4}(?:key|token|secret|signature|auth) {0,2}: {1,3})[^\r\n\"']+"
    r"|((?:password|passwd|passphrase|pwd|secret|api[_ -]?key|(?:access|secret|private)[_ -]?key)"
    r" {0,2}: {1,3})(?:\"[^\"\r\n]+|'[^'\r\n]+|[^\s\"',;]+)"
    r"|(token {0,2}: {1,3})(?=[^\s\"',;]{0,99}\d)[^\s\"',;]+)"
)
_ASSIGNED = re.compile(
    r"(?<![\w.-])([\w.-]+(?:\\{0,3}[\"'])?\]?)(?:=| {1,3}= {1,3}|(?<=[\"'])\s{0,3}:\s{0,3})"
)
_VALUE = re.compile(
    r"\\{1,3}[\"'][^\"']*[\"']?"
    r"|(?:\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.)*'?)[^\s&;,\"')\]}]*"
    r"|[\[{(].*"
    r"|[^\s&;\"']*",
    re.S,
)
_KNOWN = re.compile(
    r"(?<![A-Za-z0-9])(?:A[KS]IA[A-Z0-9]{12,}|gh[pousr]_\w{16,}|github_pat_\w{16,}"
    r"|glpat-[\w-]{12,}|xox[a-z]-[\w-]{10,}|[sr]k_(?:live|test)_\w{8,}|whsec_\w{8,}"
    r"|sk-(?=[\w-]{0,60}\d)[\w-]{16,}|AIza[\w-]{20,}|npm_[A-Za-z0-9]{20,}"
    r"|pypi-(?=[\w-]{0,60}[A-Z])[\w-]{16,}|hf_[A-Za-z0-9]{20,}|SG\.[\w-]{16,}\.[\w-]+"
    r"|hooks\.slack\.com/services/[\w/]+|eyJ[\w-]{8,}\.[\w.=-]*)"
)
_DIGITS = re.compile(
    r"(?<![\w.])(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{4}|\d{4}[ -]\d{6}[ -]\d{5})(?!\w|\.\d)"
)
_CARD = re.compile(r"4\d{12,18}|(?:2[2-7]|35|5\d|6\d)\d{14,17}|3[04678]\d{12,13}")
_TOKEN = re.compile(r"[^\s\"'<>()\[\]{},;|`=:]{20,}={0,2}")
_PART = re.compile(r"[A-Za-z0-9_+-]{20,}={0,2}")
# Where the kind of character changes, a capital before small letters apart: at four of ten
# places in random letters and digits (at fewer than one of six in 1% of them), seldom in words.
# Of 60,000 paths without a hash, from a whole Linux system, the rule hides fewer than ten.
_CHANGE = re.compile(r"[a-z](?=[A-Z0-9])|[A-Z](?=[0-9])|[0-9](?=[A-Za-z])|[!#$&*^](?=\w)")

_DIGIT = re.compile("[0-9]")


def is_secret_name(name: str) -> bool:
    """Tell whether what goes by *name* is to be hidden, whatever it looks like.

    Case and separators do not matter. A name that ends in ``file`` is of a place: the
    path of a key or of a password file opens nothing.
    """
    return secret_mark(name) != "" or _ADDRESS.search(_joined(name)) is not None


def redact_named(name: str, text: str) -> str:
    """Return *text*, the value of *name*, with what must not be shown replaced.

    A secret is hidden as a whole; of an address under a name such as ``broker_url``
    scheme and host stay. Everything else is :func:`redact_text`.
    """
    if not text or _is_named_file(name, text):
        return redact_text(text)
    if secret_mark(name):
        return HIDDEN
    if _ADDRESS.search(_joined(name)):
        return _origin(text)
    return redact_text(text)


def redact_text(text: str, most: int = MAX_LENGTH) -> str:
    """Return *text* with everything that looks like a secret replaced by ``hidden``.

    Only the first *most* characters are looked at and kept, a word that is cut there is not.
    Works on any ``str``, bytes that were no UTF-8 included, and takes time in proportion to
    the length.
    """
    text = cut(text, most)
    for rule in _RULES:
        text = rule(text)
    return text


def secret_mark(name: str) -> str:
    """Return what in *name* says that it is of a secret, empty if nothing does."""
    words = _NOT_ALNUM.split(name.casefold())
    joined = "".join(words)
    if _PLACE.search(joined) or joined in _INNOCENT:
        return ""
    marked = (_MARK.search(word) for word in words if word not in _INNOCENT)
    found = (
        next(filter(None, marked), None)
        or _MARK.fullmatch(joined)
        or _MARK_OF_WORDS.search(joined)
        or _KEY.search(joined)
    )
    if found is not None:
        return found[0]
    humps = (hump.casefold() for hump in _HUMP.findall(name))
    return next((hump for hump in humps if hump in _WHOLE_WORDS), "")


def _joined(name: str) -> str:
    return _NOT_ALNUM.sub("", name.casefold())


def _is_named_file(name: str, text: str) -> bool:
    joined = _joined(name)
    return (
        _MARK_OF_WORDS.search(joined) is None
        and (joined.endswith(("key", "pem")) or "cert" in joined)
        and _KEY_FILE.fullmatch(text) is not None
    )


def cut(text: str, most: int) -> str:
    """Return the first *most* characters, without the word at the cut.

    Half a secret fits no rule.
    """
    if len(text) <= most:
        return text
    kept = text[: most - len(HIDDEN) - 2]
    end = len(kept.rstrip("0123456789- "))
    start = max(kept.rfind(char, 0, end) for char in " \t\n")
    return kept[: start + 1] + HIDDEN + " …"


def _origin(text: str) -> str:
    """Keep scheme and host of an address; of anything else nothing."""
    match = _ADDRESS_TEXT.match(_URL.sub(_hide_in_url, text))
    if match is None:
        return HIDDEN
    scheme, host, rest = match.groups()
    return f"{scheme}{host}{rest if rest in ('', '/') else '/' + HIDDEN}"


def _hide_in_url(match: Match[str]) -> str:
    body = match[1]
    at = _end_of_user(body)
    place, mark, query = body[at:].partition("?")
    query, hash_, fragment = query.partition("#")
    if "=" in fragment:
        fragment = _hide_query(fragment)
    return f"//{_hide_user(body[:at])}{place}{mark}{_hide_query(query)}{hash_}{fragment}"


def _end_of_user(body: str) -> int:
    authority = _END_OF_HOST.split(body, 1)[0]
    if "@" in authority or _HOST_AND_PORT.fullmatch(authority):
        return authority.rfind("@") + 1
    # What follows the colon is no port: a password with a raw slash, as some drivers take it.
    return body.rfind("@") + 1


def _hide_user(user: str) -> str:
    if not user:
        return ""
    name, colon, _ = user[:-1].partition(":")
    # A name alone may be a token, as in https://TOKEN@github.com; a login is short.
    shown = name if len(name) < 20 and (colon or _LOGIN.fullmatch(name)) else HIDDEN
    return f"{shown}:{HIDDEN}@" if colon else f"{shown}@"


def _hide_query(query: str) -> str:
    if not query:
        return ""
    return "&".join(map(_hide_parameter, query.split("&")))


def _hide_parameter(parameter: str) -> str:
    name, equals, value = parameter.partition("=")
    if len(name) > 32 or not value.strip("="):
        return HIDDEN
    return f"{name}{equals}{HIDDEN}"


def _hide_scheme(match: Match[str]) -> str:
    return f"{match[match.lastindex or 0]}{HIDDEN}"


def _hide_assigned(text: str) -> str:
    parts: list[str] = []
    end = 0
    for match in _ASSIGNED.finditer(text):
        if match.start() < end or not _is_known_secret(match[1]):
            continue
        value = _VALUE.match(text, match.end())
        assert value is not None
        parts += text[end : match.end()], _hide_value(match[1], value[0])
        end = value.end()
    return "".join(parts) + text[end:]


def _is_known_secret(name: str) -> bool:
    return _memo(name) if len(name) <= 64 else is_secret_name(name)


#: Texts have the same names again and again; long ones would make a cache large.
_memo = lru_cache(maxsize=2048)(is_secret_name)


def _hide_value(name: str, value: str) -> str:
    mark = value[:1] if value[:1] in ('"', "'") and value.endswith(value[:1]) else ""
    return mark + redact_named(name, value.strip(mark) if mark else value) + mark


def _hide_card(match: Match[str]) -> str:
    digits = match[0].replace(" ", "").replace("-", "")
    return HIDDEN if _CARD.fullmatch(digits) and _luhn(digits) else match[0]


def _luhn(digits: str) -> bool:
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[::-2])) + sum(doubled)) % 10 == 0


def _hide_random(match: Match[str]) -> str:
    token = match[0]
    # Base64 has slashes too, and half of it may be too short a part; but few begin with one.
    if token[0] != "/" and _is_random(token):
        return HIDDEN
    shown = _PART.sub(lambda part: HIDDEN if _is_random(part[0]) else part[0], token)
    return HIDDEN if shown == token and _is_random(token) else shown


def _is_random(token: str) -> bool:
    """Tell a generated string from a path, a dotted name or an option of the same length."""
    size = len(token)
    # CamelCase mixes capitals and small letters too: without a digit it takes more changes.
    seldom = 6 if _DIGIT.search(token) else 4
    if seldom * len(_CHANGE.findall(token)) < size:
        return False
    return -sum(n / size * log2(n / size) for n in Counter(token).values()) > 4.0


_RULES: tuple[Callable[[str], str], ...] = (
    partial(_PEM.sub, HIDDEN),
    partial(_URL.sub, _hide_in_url),
    partial(_SCHEME.sub, _hide_scheme),
    partial(_AFTER_COLON.sub, _hide_scheme),
    _hide_assigned,
    partial(_KNOWN.sub, HIDDEN),
    partial(_DIGITS.sub, _hide_card),
    partial(_TOKEN.sub, _hide_random),
)
