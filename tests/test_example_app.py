"""The example as the README runs it: gunicorn, its configuration, its traffic and its pages."""

from __future__ import annotations

import json
import os
import re
import shutil
import smtplib
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from servers import Gunicorn, running, wait_until
from servers.nginx import free_port

ROOT = Path(__file__).parent.parent
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
BROWSER = {"Accept": "text/html"}

pytestmark = pytest.mark.gunicorn


class Example(Gunicorn):
    """The example under gunicorn."""

    def __init__(self, folder: Path, *args: str, conf: bool = True, **env: str) -> None:
        self.smtp_port = free_port()
        self.code = folder / "code"
        # The example and nothing else: the package is the tests' own.
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "example_app", self.code / "example_app", ignore=ignored)
        told = {"RELAY_FOLDER": str(folder / "relay"), "RELAY_SMTP_PORT": str(self.smtp_port)}
        if conf:
            args = ("--config", str(self.code / "example_app" / "conf.py"), *args)
        super().__init__(
            "example_app.app:app",
            *("--threads", "4", "--bind", "127.0.0.1:0", "--chdir", str(self.code)),
            *args,
            folder=folder / "gunicorn",
            env={**told, **env},
        )
        # Workers boot before they have read the module that listens.
        self.wait_until(self._takes_mail, what="a worker listens for mail")

    def _takes_mail(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.smtp_port), 30).close()
        except ConnectionRefusedError:
            return False
        return True

    def submit(self, to: str, **more: str) -> Any:
        form = {"from": "alice@relay.example", "to": to, "subject": "Hello", **more}
        headers = {"Content-Type": "application/json"}
        return self.post("/messages", json.dumps(form), headers=headers)

    def figures(self) -> Any:
        answer = self.get("/debug/vars")
        assert answer.status == 200, answer.text
        return answer.json()

    def message(self, id: str) -> Any:
        return self.get(f"/messages/{id}").json()

    def done(self, id: str) -> Any:
        """Wait until a message is done, and return what is told of it."""
        self.wait_until(lambda: self.message(id)["done"], what=f"{id} is done")
        return self.message(id)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    for needed in ("gunicorn", "aiosmtpd", "dns", "dnslib", "spf", "trustme"):
        pytest.importorskip(needed)
    # Retries would go on for a minute, and the last test counts.
    folder = tmp_path_factory.mktemp("example")
    with Example(folder, "--workers", "2", RELAY_RETRY_FIRST="0.2") as found:
        children = psutil.Process(found.arbiter_pid).children()
        [world] = [child for child in children if "example_app.world" in child.cmdline()]
        yield found
    wait_until(lambda: not running(world.pid), failure=lambda: "the world ends with gunicorn")


def test_a_message_is_submitted_looked_up_and_delivered(example: Example) -> None:
    answer = example.submit("friend@good.example")
    assert answer.status == 202
    id = answer.json()["id"]
    assert answer.headers["Location"] == f"/messages/{id}"

    found = example.done(id)
    assert found["from"] == "alice@relay.example"
    [friend] = found["recipients"]
    assert (friend["address"], friend["status"]) == ("friend@good.example", "SENT")


def test_a_message_that_waits_is_on_the_page_of_queues_and_can_be_cancelled(
    example: Example,
) -> None:
    id = example.submit("friend@busy.example").json()["id"]
    example.wait_until(lambda: example.message(id)["attempts"] >= 3, what="it has been tried")
    page = example.get("/debug/queue").text
    assert f"## Item {id}\n" in page
    assert re.search(r'last failure: ".*450 4.2.1 Try again later', page)

    def cancelled() -> bool:
        return example.get(f"/messages/{id}", method="DELETE").status == 200

    # Not while an attempt is being made: that answers 409.
    example.wait_until(cancelled, what="it can be cancelled")
    assert example.get(f"/messages/{id}").status == 404
    assert example.get(f"/messages/{id}", method="DELETE").status == 404


def test_a_message_that_is_done_cannot_be_cancelled(example: Example) -> None:
    id = example.submit("bob@relay.example").json()["id"]
    example.done(id)
    answer = example.get(f"/messages/{id}", method="DELETE")

    assert (answer.status, answer.json()["error"]) == (409, "it is done")


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"to": "no address"}, 400, "to must be an address .* not 'no address'"),
        ({"to": "a@b.example", "from": "a\r\nb@c.example"}, 400, "from must be an address"),
        ({"to": "../../etc/passwd@relay.example"}, 400, "to must be an address"),
        ({"to": "a@b.example", "text": 7}, 400, "text must be a text"),
        ({"to": "a@b.example", "subject": "\ud800"}, 400, "subject must be .* UTF-8"),
        ({"to": "nobody@relay.example"}, 422, "550 5.1.1 Nobody here"),
        ({"to": "broken@relay.example"}, 503, "451 4.3.0 Cannot resolve"),
        ({"to": "bob@relay.example", "subject": "lottery"}, 422, "554 5.7.1 The post-data hook"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_the_reason(
    example: Example, form: dict[str, Any], status: int, error: str
) -> None:
    answer = example.submit(**form)

    assert answer.status == status
    assert re.search(error, answer.json()["error"])


def test_a_body_that_is_no_form_is_refused(example: Example) -> None:
    headers = {"Content-Type": "application/json"}
    for body in ("[1]", "{", "7"):
        answer = example.post("/messages", body, headers=headers)
        assert (answer.status, answer.json()["error"]) == (
            400,
            "the body must be a form or a JSON object",
        )


def test_a_subject_of_several_lines_begins_no_header(example: Example) -> None:
    id = example.submit("alice@relay.example", subject="one\r\nBcc: two@good.example").json()["id"]
    example.done(id)
    folder = example.folder.parent / "relay" / "mail" / "alice" / "new"

    assert any("Subject: one Bcc: two@good.example" in f.read_text() for f in folder.iterdir())


def test_every_link_of_the_first_page_leads_somewhere(example: Example) -> None:
    index = example.get("/", headers=BROWSER).text
    links = set(re.findall(r'href="([^"]+)"', index))

    assert {"/debug/", "/debug/queue", "/debug/traces", "/debug/domains"} <= links
    assert {link: example.get(link, headers=BROWSER).status for link in links} == dict.fromkeys(
        links, 200
    )
    form = "from=alice%40relay.example&to=bob%40relay.example&subject=x&text=y"
    answer = example.post("/messages", form, headers={**FORM, **BROWSER})
    assert answer.status == 302
    assert example.get(answer.headers["Location"]).status == 200


def test_there_is_a_family_of_traces_for_each_kind_of_work(example: Example) -> None:
    with smtplib.SMTP("127.0.0.1", example.smtp_port, timeout=30) as client:
        to = ["team@relay.example", "archive@relay.example", "friend@good.example"]
        client.sendmail("friend@plain.example", to, "Subject: all\r\n\r\n")
    assert example.submit("friend@good.example").status == 202
    wanted = {
        "SMTP.Conn", "SPF", "Alias.Resolve", "Hook.Alias-Resolve", "Hook.Post-DATA", "Queue.Put",
        "Queue.SendLoop", "Courier", "Courier.Pipe", "STSCache.Fetch", "POST /messages",
        # As long-lived as the workers.
        "Queue.Loop", "Housekeeper",
    }  # fmt: skip

    def families() -> set[str]:
        return {each["family"] for each in example.get("/debug/traces").json()["families"]}

    example.wait_until(lambda: wanted <= families(), what="all kinds of work are done")
    loops = example.get("/debug/traces.json?fam=Queue.Loop&b=-1").json()["traces"]
    assert len(loops) == 2 * 4  # the send loops of all workers
    sessions = example.get("/debug/traces.json?fam=SMTP.Conn").json()["traces"]
    polite = [t for t in sessions if t["events"][-1]["text"].startswith("<- 221")]
    assert polite
    assert not any(trace["error"] for trace in polite)
    sent = example.get("/debug/traces.json?fam=Courier").json()["traces"]
    assert "email:remote friend@good.example" in {trace["title"] for trace in sent}


def test_a_client_that_hangs_up_leaves_a_failed_trace(example: Example) -> None:
    with socket.create_connection(("127.0.0.1", example.smtp_port), 30) as client:
        client.recv(1000)
        client.sendall(b"EHLO x\r\n")
        client.recv(1000)

    def failed() -> Any:
        return example.get("/debug/traces.json?fam=SMTP.Conn&b=-2").json()["traces"]

    [trace, *_] = example.wait_until(failed, what="the connection has ended")
    assert trace["events"][-1]["text"] == "the client has hung up"


def test_long_lived_parts_have_event_logs_and_settings_are_flags(example: Example) -> None:
    example.done(example.submit("friend@good.example").json()["id"])
    logs = {each["family"] for each in example.get("/debug/events").json()["families"]}

    assert {"SMTP.Listener", "STSCache"} <= logs
    assert f"-smtp_port={example.smtp_port}\n" in example.get("/debug/flags").text
    good = [row for row in example.get("/debug/domains").json()["merged"] if "good" in row["name"]]
    assert good[0]["outgoing"] == "tls:secure"


def test_the_configuration_of_the_document_finds_all_it_names(example: Example) -> None:
    text = (ROOT / "example_app" / "prometheus-expvar-exporter.toml").read_text()
    names = dict(re.findall(r'^m\.(\w+)\.expvar *= *"(.+)"', text, re.MULTILINE))
    labelled = set(re.findall(r"^m\.(\w+)\.label_name", text, re.MULTILINE))
    found = example.figures()
    others = {"chasquid/version", "chasquid/sourceDateStr", "chasquid/sourceDateTimestamp"}

    assert len(names) == 27
    ours = {name for name in found if name.startswith("chasquid/")}
    assert ours == {*names.values(), *others}
    for short, name in names.items():
        assert isinstance(found[name], dict) == (short in labelled), name


def test_the_traffic_is_what_has_been_counted(example: Example) -> None:
    before = example.figures()
    command = [sys.executable, "-m", "example_app.traffic", "--port", str(example.address[1])]
    done = subprocess.run(
        [*command, "--smtp-port", str(example.smtp_port), "--messages", "60", "--threads", "4"],
        env={**os.environ, "PYTHONPATH": str(example.code)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    *ends, last = done.stdout.splitlines()
    printed = Counter({end.strip(): int(count) for count, end in (e.split(None, 1) for e in ends)})
    assert sum(printed.values()) == 60
    assert last == f"Now look at http://127.0.0.1:{example.address[1]}/debug/vars"

    def put() -> int:
        after = example.figures()
        names = "chasquid/queue/putCount", "chasquid/queue/dsnQueued"
        total, dsns = (after[name] - before[name] for name in names)
        return int(total - dsns)

    # Notifications come in between.
    taken = printed["SMTP 250"] + printed["HTTP 202"]
    example.wait_until(lambda: put() == taken, what=f"{taken} messages are put")
