"""No planted secret comes out of the redactor, and everything innocent does."""

from __future__ import annotations

import os
import sys
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_expvar import redaction, redaction_argv
from flask_expvar.redaction import HIDDEN, is_secret_name, redact_named, redact_text
from flask_expvar.redaction_argv import redact_argv

PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\nMIICXAIBAAKBgQC7\nzPh5/a2J8WkQq0==\n"
    "-----END RSA PRIVATE KEY-----"
)
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFU"
RANDOM = "Zk3v9QxT7mBw2LrY8sHd"
MIXED = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
HEX = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

# The arguments of one command line each; @ is where the secret is, and where `hidden` must be.
# Keys of known services are put together here, so that no scanner takes them for real ones.
PLANTED: list[tuple[list[str], str]] = [
    # Options with secret names.
    (["gunicorn", "--password", "@", "app:app"], "hunter2"),
    (["gunicorn", "--password=@", "app:app"], "hunter2"),
    (["gunicorn", "--db-password", "@", "--bind", ":8000"], "-p4ssw0rd"),
    (["app", "--token", "@"], "t0k"),
    (["app", "--token=@"], "a=b=c"),
    (["app", "--api-key", "@", "-v"], "k1"),
    (["app", "--apiKey=@"], "k1"),
    (["app", "--api.key=@"], "k1"),
    (["app", "--API_KEY=@"], "k1"),
    (["app", "--secret-key", "@"], "two words"),
    (["app", "--signing-key=@"], "my,key"),
    (["app", "--pin", "@"], "4711"),
    (["app", "--userPin=@"], "4711"),
    (["app", "--otp", "@"], "123456"),
    (["app", "--session-salt", "@"], "pepper"),
    (["app", "-password", "@"], "hunter2"),
    (["java", "-Dspring.datasource.password=@", "-jar", "a.jar"], "hunter2"),
    (["app", "--auth", "@", "--no-color"], "bob:hunter2"),
    (["app", "--dsn=@"], "user=bob sslmode=on"),
    (["app", "--connection-string", "@"], "Server=db;Uid=sa;Pwd=x"),
    (["app", "--webhook", "@"], "https://chat.example.com/T1/B2/x"),
    (["app", "--private-key", "@"], "inline"),
    (["openssl", "rsa", "-passin", "@", "-in", "server.key"], "pass:hunter2"),
    (["flask", "run", "--key", "@"], "not-a-file"),
    # Short options of well-known programs.
    (["mysql", "-u", "root", "-p@", "shop"], "hunter2"),
    (["/usr/bin/mysqldump", "-p@", "shop"], "hunter2"),
    (["sshpass", "-p", "@", "ssh", "-p", "22", "host"], "hunter2"),
    (["redis-cli", "-h", "cache", "-a", "@", "ping"], "hunter2"),
    (["curl", "-u", "@", "http://localhost:8000/"], "bob:hunter2"),
    (["curl", "--user=@", "http://localhost:8000/"], "bob:hunter2"),
    (["ldapsearch", "-x", "-w", "@"], "hunter2"),
    (["zip", "-P", "@", "out.zip", "in"], "hunter2"),
    # Assignments.
    (["env", "SECRET_KEY=@", "gunicorn", "app:app"], "dev"),
    (["docker", "run", "-e", "POSTGRES_PASSWORD=@", "postgres"], "a b&c;d"),
    (["docker", "run", "-ePOSTGRES_PASSWORD=@", "postgres"], "hunter2"),
    (["gunicorn", "--env", "APP_TOKEN=@", "app:app"], "t0k"),
    (["gunicorn", "--env=APP_TOKEN=@", "app:app"], "t0k"),
    (["app", "dbname=shop user=bob password=@ sslmode=on"], "hunter2"),
    (["app", "Server=db;User Id=sa;Password=@;Encrypt=yes"], "hunter2"),
    (["gunicorn", "app:create_app(db_password='@', debug=True)"], "it is secret"),
    (["python", "-c", "import app; app.config['SECRET_KEY'] = '@'; app.run()"], "x y"),
    (["app", "--config", '{"user": "bob", "password": "@", "port": 1}'], 'hunter2 \\" x'),
    (["app", '--config={"db": {"api_key":"@"}}'], "k1"),
    (["app", "--config", "{'token': '@'}"], "t0k"),
    (["app", "conn=[user=bob;secret=@;]"], "x,y"),
    # Command lines in one argument.
    (["sh", "-c", "exec gunicorn --token @ app:app"], "t0k"),
    (["sh", "-c", "SECRET_KEY=@ exec gunicorn -w 4 app:app"], "dev"),
    (["sh", "-c", "app --password @ --verbose"], "'two words'"),
    (["bash", "-lc", "mysql -p@ shop < dump.sql"], "hunter2"),
    # Headers.
    (["curl", "-H", "Authorization: @", "http://localhost/"], "Bearer abc"),
    (["curl", "-H", "X-Api-Key: @", "http://localhost/"], "k1 k2"),
    (["curl", "-HX-Auth-Token:@", "http://localhost/"], "t0k"),
    (["curl", "-H", "Cookie: @", "http://localhost/"], "a=b; session=c"),
    (["sh", "-c", 'curl -H "X-Api-Key: @" http://localhost/'], "k1"),
    (["app", "--say", "Bearer @"], "abc.def"),
    (["app", "--say", "Basic @"], "Ym9iOmh1bnRlcjI="),
    (["app", "--say", "Digest @"], 'username="bob", response="6629"'),
    # URLs.
    (["celery", "-A", "app", "-b", "amqp://bob:@@mq:5672/shop"], "hunter2"),
    (["app", "--broker=redis://:@@cache:6379/0"], "hunter2"),
    (["app", "postgresql+psycopg://bob:@@db.example.com/shop"], "p/w?1#2"),
    (["app", "https://bob:@@db.example.com:8080/x"], "p@ss"),
    (["app", "https://@@github.com/org/repo.git"], "0123456789abcdef0123"),
    (["app", "jdbc:mysql://db/shop?user=@"], "bob"),
    (["app", "https://example.com/cb?code=@#top"], "abc"),
    (["app", "https://example.com/cb#access_token=@"], "abc"),
    (["app", "https://example.com/?@"], "abc"),
    (["app", "/callback?token=@"], "abc"),
    (["app", "--callback-url", "https://example.com/@"], "T1/B2/x"),
    (["app", "--feed-urls=https://example.com:8443/@"], "a?b=c"),
    # What is known by its looks.
    (["app", "@"], JWT),
    (["app", "--id", "@"], JWT.rpartition(".")[0]),
    (["app", "@"], PEM),
    (["app", "cat <<< '@' > x"], PEM),
    (["app", "@"], "AKIA" + "IOSFODNN7EXAMPLE"),
    (["app", "--id=@"], "ghp" + "_16C7e42F292c6912E7710c838347Ae178B4a"),
    (["app", "@"], "github" + "_pat_11ABCDEFG0abcdefghijkl"),
    (["app", "@"], "glpat" + "-abcdefghijklmnopqrst"),
    (["app", "@"], "xoxb" + "-263594206564-abcdefghijkl"),
    (["app", "@"], "sk_" + "live_abcdefghijklmnop"),
    (["app", "@"], "sk" + "-proj-abcdefghijkl0mnopqrs"),
    (["app", "@"], "AIza" + "SyabcdefghijklmnopqrstuvwxyzABCDE"),
    (["app", "@"], "npm" + "_abcdefghijklmnopqrstuvwxyz0123456789"),
    (["app", "@"], "pypi" + "-AgEIcHlwaS5vcmcabcdefgh"),
    (["app", "https://@"], "hooks.slack.com" + "/services/T00000000/B00000000/abcdefgh"),
    (["app", "--card", "@"], "4111111111111111"),
    (["app", "paid with @."], "4111 1111 1111 1111"),
    (["app", "paid with @."], "5555-5555-5555-4444"),
    (["app", "paid with @."], "3782 822463 10005"),
    (["app", "@"], RANDOM),
    (["app", "--thing=@"], RANDOM),
    (["app", "/srv/www/static/application/@/index.html"], RANDOM),
    (["app", "@"], MIXED),
    (["app", "--seed", "@"], HEX),
    (["app", "@"], "xK9#mP2$vL5!nQ8*wR3^zT6"),
]


@pytest.mark.parametrize(("template", "secret"), PLANTED)
def test_planted_secret_is_hidden_and_the_rest_is_kept(template: list[str], secret: str) -> None:
    marked = [word.replace("@@", "@\0").replace("@", "\1", 1) for word in template]
    argv = [word.replace("\1", secret).replace("\0", "@") for word in marked]

    shown = redact_argv(argv)

    assert not any(secret in word for word in shown)
    assert shown == [word.replace("\1", HIDDEN).replace("\0", "@") for word in marked]


INNOCENT = """
/usr/bin/python3.11
/srv/shop/.venv/bin/gunicorn
app:app
app:create_app()
shop.auth:app
myproject.session_service.wsgi:application
module:factory(name='shop', workers=4)
--bind
0.0.0.0:8000
--bind=unix:/run/shop/gunicorn.sock
[::1]:8000
fd://3
--worker-class=gthread
--worker-tmp-dir=/dev/shm
--access-logfile=-
--access-logformat=%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %(L)s
--error-logfile=/var/log/gunicorn/error-2024-01-31.log
--logger-class=shop.logging.StructuredGunicornLogger
--forwarded-allow-ips=*
--max-requests-jitter=50
--limit-request-field_size=8190
--proc-name=shop-production-eu-west-1
--process-name=shop
--primary-key=id
--sort-key=name
--cache_key=page
--keyfile=server.key
--certfile=/etc/ssl/certs/shop.example.com.pem
--ca-certs=/etc/ssl/ca.crt
--password-file=/run/secrets/db
POSTGRES_PASSWORD_FILE=/run/secrets/db
--config=python:shop.gunicorn_config
--pythonpath=/srv/shop/.venv/lib/python3.11/site-packages
/usr/lib/python3.11/lib-dynload/_json.cpython-311-x86_64-linux-gnu.so
/wheels/numpy-1.26.4-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl
shop.domain.payments.services.InvoiceReconciliationService
AbstractSingletonProxyFactoryBeanImplementation
SQLALCHEMY_TRACK_MODIFICATIONS=false
PYTHONDONTWRITEBYTECODE=1
--do-handshake-on-connect
--disable-redirect-access-to-syslog
--statsd-host=localhost:8125
--statsd-prefix=shop.production
--author=Ada
--skip-assets=fonts
--pinned=yes
--tag=v1.2.3-rc1
--since=2024-01-31T12:00:00+00:00
--request-id=550e8400-e29b-41d4-a716-446655440000
--count=1700000000000000000
--phone=+49 30 1234567890
--origin=https://shop.example.com
--proxy-url=http://proxy.example.com:3128
--repository=ssh://git@github.com/org/repo.git
--registry=https://registry.example.com:8443/@scope/package
--mail=ada@example.com
--title=Basic usage of the token ring
--names=grün,日本,naïve
--glob=/srv/shop/**/*.py
""".strip().splitlines()


@pytest.mark.parametrize("word", INNOCENT)
def test_innocent_argument_stays_as_it_is(word: str) -> None:
    assert redact_argv([word]) == [word]
    assert redact_argv(["gunicorn", word, "app:app"]) == ["gunicorn", word, "app:app"]


@pytest.mark.parametrize(
    "line",
    [
        "gunicorn -w 4 -k gthread --threads 8 -b 0.0.0.0:8000 --keyfile server.key app:app",
        "gunicorn --certfile shop.crt --ca-certs ca.pem -p /run/gunicorn.pid app:create_app()",
        "gunicorn --access-logfile - --worker-tmp-dir /dev/shm --preload -e TZ=UTC shop.wsgi",
        "flask --app shop run --host ::1 -p 5000 --cert cert.pem --key /etc/ssl/server.key",
        "flask --app shop --debug run --no-reload --with-threads",
        "celery -A shop worker --loglevel INFO -Q mail,orders -n worker1@%h",
        "uwsgi --http :8000 --master -p 4 -w shop:app",
        "app --no-auth app:app --token --verbose --password",
        "sh -c exec",
    ],
)
def test_innocent_command_line_stays_as_it_is(line: str) -> None:
    assert redact_argv(line.split()) == line.split()
    assert redact_argv(["sh", "-c", line]) == ["sh", "-c", line]


SECRET_NAMES = """
    PASSWORD passwd db_pwd SECRET_KEY client-secret x.access.token ApiKey API-KEY api_key
    aws_access_key_id AWS_SECRET_ACCESS_KEY privateKey Authorization oauth CREDENTIALS
    signature signing salt SESSION_COOKIE session csrf xsrf_header JWT bearer otp totp pin
    USER_PIN pinCode userPin ssn user-ssn cvv SENTRY_DSN connectionString DATABASE_URL
    database_uri BROKER_URL redis-uri feedUrls web_hook web-hook cert pem key_tab VAULT_ADDR
    kubeconfig license fernet_key ENCRYPTION_KEYS key K.E.Y J_W_T pw db-pw
"""


@pytest.mark.parametrize("name", SECRET_NAMES.split())
def test_name_is_secret(name: str) -> None:
    assert is_secret_name(name)


OPEN_NAMES = """
    name DEBUG primary_key PRIMARY-KEY sortKey sort_keys cache.key keys keyboard spin pinned
    opinion process_name processName class_name group_assets author authors bypass keyfile
    CERT_FILE pg.pass-file APPLICATION_ROOT workers curl_version pwm
"""


@pytest.mark.parametrize("name", OPEN_NAMES.split())
def test_name_is_no_secret(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("password", "", ""),
        ("password", "server.key", HIDDEN),
        ("tls_key", "server.key", "server.key"),
        ("tls_key", "server.key extra", HIDDEN),
        ("broker_url", "amqp://bob:pw@mq:5672/shop", "amqp://mq:5672/hidden"),
        ("broker_url", "amqp://bob:p/w@mq:5672", "amqp://mq:5672"),
        ("jdbc_url", "jdbc:mysql://db/shop?user=bob", "jdbc:mysql://db/hidden"),
        ("static_url", "/static/", HIDDEN),
        ("database_url", "sqlite:///shop.db", HIDDEN),
        ("title", "Bearer abcdef", "Bearer hidden"),
    ],
)
def test_named_value_is_shown_by_the_rule_of_its_name(name: str, text: str, shown: str) -> None:
    assert redact_named(name, text) == shown


def test_identifiers_of_a_trace_are_shown_in_texts() -> None:
    text = "trace 4bf92f3577b34da6a3ce929d0e0e4736 of commit " + HEX[:40]
    assert redact_text(text) == text


def test_number_that_only_looks_like_a_card_is_shown() -> None:
    assert redact_text("orders 4111111111111112 and 1234567890123456") == (
        "orders 4111111111111112 and 1234567890123456"
    )


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("password: hunter2 rest", "password: hidden rest"),
        ("db_password: hunter2", "db_password: hidden"),
        ("API key: k1", "API key: hidden"),
        ('secret: "two words" rest', 'secret: hidden" rest'),
        ("token: t0k rest", "token: hidden rest"),
        ("X-Api-Key: k1", "X-Api-Key: hidden"),
        ("x-amz-security-token: k1 k2", "x-amz-security-token: hidden"),
        ("Cookie: a=b; c=d", "Cookie: hidden"),
        ("unexpected token: else", "unexpected token: else"),
        ("auth: ok, session: closed", "auth: ok, session: closed"),
        ("pass: 3, fail: 1", "pass: 3, fail: 1"),
        ("X-Request-Id: 17", "X-Request-Id: 17"),
    ],
)
def test_what_follows_a_colon_is_hidden_after_few_names(text: str, hidden: str) -> None:
    assert redact_text(text) == hidden
    assert redact_text(hidden) == hidden


def test_login_of_a_url_is_kept() -> None:
    assert redact_text("postgresql://bob:pw@db/shop") == "postgresql://bob:hidden@db/shop"


def test_bytes_that_are_no_utf8_survive() -> None:
    word = os.fsdecode(b"/srv/caf\xe9/\xff.log")
    secret = os.fsdecode(b"--password=\xff\xfe")

    assert redact_argv([word, secret]) == [word, "--password=hidden"]
    assert os.fsencode(redact_text(word)) == b"/srv/caf\xe9/\xff.log"


def test_word_cut_at_the_limit_is_hidden() -> None:
    text = "see " * 1015 + "postgresql://bob:" + "hunter2" * 20 + "@db/shop"

    shown = redact_text(text)

    assert shown == "see " * 1015 + "hidden …"
    assert redact_text(shown) == shown


def test_a_limit_may_be_lower() -> None:
    text = "login with password=hunter2 and more of it " * 20

    assert redact_text(text, 30) == "login with hidden …"
    assert redact_text(text, 60) == "login with password=hidden and more of it login hidden …"


def test_card_cut_at_the_limit_is_hidden() -> None:
    assert "4111" not in redact_text("x" * 4060 + " 4111 1111 1111 1111 4111 1111 1111 1111")


def test_endless_command_line_is_cut() -> None:
    assert redact_argv(["x"] * 5000) == ["x"] * redaction_argv.MAX_ITEMS + ["…"]


def test_what_is_no_text_is_hidden() -> None:
    assert redact_argv(["app", 7, None, b"secret"]) == ["app", HIDDEN, HIDDEN, HIDDEN]


HOSTILE = [
    "a",
    "a=",
    "key=",
    "key=;",
    "a.",
    "//",
    "://a:",
    "http://a@",
    "?a&",
    "eyJ",
    "eyJaaaaaaaaa.",
    "sk-",
    "pypi-",
    "SG.aaaaaaaaaaaaaaaaaa",
    "-----BEGIN A-----",
    "-----BEGIN ",
    "-----END ",
    "Bearer ",
    "digest a ",
    "basic aaaaaaa ",
    "authorization",
    "4111 ",
    "4",
    '"',
    '\\"',
    "'\"",
    '"key":',
    "[",
    "--password ",
    "x-a",
    " x-a",
    "x-a-a-a-a-",
    "password: ",
    "token: a",
    'pwd: "',
    " ",
    "\ud800",
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_a_mebibyte_of_hostile_text_is_done(unit: str) -> None:
    text = unit * (2**20 // len(unit))

    assert len(redact_text(text)) < 8 * redaction.MAX_LENGTH
    assert len(redact_argv([text, "app"])[0]) < 8 * redaction.MAX_LENGTH


def seconds_of(text: str) -> float:
    start = time.process_time()
    redact_text(text, len(text))
    return time.process_time() - start


@pytest.mark.parametrize("unit", HOSTILE)
def test_patterns_take_linear_time_on_uncut_text(unit: str) -> None:
    small, large = (seconds_of(unit * (size // len(unit))) for size in (2**11, 2**15))

    # Sixteen times the text: squares would take 256 times as long.
    assert large < 64 * small + 0.2


def calls_of(text: str) -> int:
    """Count the calls of functions, C ones included: the operations that time cannot blur."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        redact_argv([text])
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("unit", HOSTILE)
def test_work_grows_no_faster_than_the_text(unit: str) -> None:
    sizes = [500, 1000, 2000, 4000]
    counts = [calls_of(unit * (size // len(unit))) for size in sizes]

    assert all(more <= 2.2 * less + 50 for less, more in pairwise(counts))


@given(st.lists(st.text()))
def test_anything_is_redacted_without_an_error(argv: list[str]) -> None:
    shown = redact_argv(argv)

    assert len(shown) == len(argv)
    assert all(isinstance(word, str) for word in shown)


PIECES = st.sampled_from([*INNOCENT, *(word for argv, _ in PLANTED for word in argv), " ", "://"])


@given(st.lists(PIECES, max_size=8).map("".join))
def test_redacting_twice_is_redacting_once(text: str) -> None:
    once = redact_text(text)
    assert redact_text(once) == once


@given(st.text(st.characters(codec="ascii"), min_size=1), st.sampled_from(["--token", "-password"]))
def test_secret_of_any_characters_is_hidden(secret: str, option: str) -> None:
    assert redact_argv(["app", f"{option}={secret}"]) == ["app", f"{option}=hidden"]
