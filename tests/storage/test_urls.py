"""What is secret in a store's URL is in no text, wherever in it it stands."""

import logging
import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from tidegauge.config_rules import password_in
from tidegauge.errors import StoreError
from tidegauge.storage import urls
from tidegauge.storage.store import Store

SECRET = "s3cr3t%2Bword"
DECODED = "s3cr3t+word"
NOWHERE = "127.0.0.1:1"

URLS = {
    "user": f"postgresql://app:{SECRET}@{NOWHERE}/db",
    "password": f"postgresql://{NOWHERE}/db?password={SECRET}",
    "sslpassword": f"postgresql://{NOWHERE}/db?sslpassword={SECRET}",
    "passfile": f"postgresql://{NOWHERE}/db?passfile=/{SECRET}",
    "misspelt": f"postgresql://{NOWHERE}/db?pasword={SECRET}",
    "twice": f"postgresql://{NOWHERE}/db?password={SECRET}&password={SECRET}",
    "options": f"postgresql://{NOWHERE}/db?options=-c%20app.token%3D{SECRET}",
    "dsn": f"postgresql://{NOWHERE}/db?dsn=host%3Dx%20password%3D{SECRET}",
    "conninfo": f"postgresql://{NOWHERE}/db?conninfo=password%3D{SECRET}",
    "hosts": f"postgresql://app:{SECRET}@127.0.0.1:1,app:{SECRET}@127.0.0.1:2/db",
    "hosts without ports": f"postgresql://app:x@a.invalid,app:{SECRET}@b.invalid/db",
    "hosts of the query": f"postgresql:///db?host=app:{SECRET}@127.0.0.1&port=1",
    "unescaped": f"postgresql://app:x@{SECRET}@a.invalid/db",
    "unescaped, with a slash": f"postgresql://app:x@y/{SECRET}@a.invalid/db",
    "port": f"postgresql://127.0.0.1:{SECRET}/db",
    "no URL": f"postgresql:app:{SECRET}@host",
    "another database": f"mysql://{NOWHERE}/db?password={SECRET}",
}


@pytest.mark.parametrize("name", URLS)
def test_what_is_secret_in_a_url_is_in_no_text(name: str, caplog: pytest.LogCaptureFixture) -> None:
    def used() -> None:
        store = Store(URLS[name])
        assert "s3cr3t" not in store.shown_url
        assert name == "passfile" or "s3cr3t" not in store.url_without_password
        with store.read():
            pass

    with caplog.at_level(logging.DEBUG), pytest.raises(StoreError) as caught:
        used()
    said = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert "store" in str(caught.value)
    assert "s3cr3t" not in said


def test_what_helps_to_find_a_server_is_still_shown() -> None:
    store = Store("postgresql://app:x@db.example:5433/gauge?sslmode=require&options=-csearch_path%3Dt&password=y")
    shown = store.shown_url
    assert shown.startswith("postgresql+psycopg://app:***@db.example:5433/gauge?")
    assert "sslmode=require" in shown
    assert "password=***" in shown
    two = Store("postgresql:///db?host=a.example:5432&host=b.example:5433").shown_url
    assert "a.example" in two
    assert "b.example" in two


def test_what_travels_in_a_pipeline_is_all_but_the_secret() -> None:
    url = f"postgresql://app:{SECRET}@db.example/gauge?sslmode=require&passfile=%2Frun%2Fpass&sslpassword={SECRET}"
    left = "postgresql://app@db.example/gauge?passfile=%2Frun%2Fpass&sslmode=require"
    assert Store(url).url_without_password == left
    assert Store("sqlite:////tmp/a%20b.db").url_without_password == "sqlite:////tmp/a%20b.db"


def test_options_travel_but_for_the_secret() -> None:
    options = "?options=-csearch_path%3Dt%20-c%20app.token%3Ds3cr3t%5C%20word%20--work_mem%3D9MB"
    left = urls.parsed(Store(f"postgresql://db.example/gauge{options}").url_without_password)
    assert str(left.query["options"]).split() == ["-csearch_path=t", "--work_mem=9MB"]
    alone = Store("postgresql://db.example/gauge?options=-c%20app.token%3Ds3cr3t").url_without_password
    assert alone == "postgresql://db.example/gauge"


@pytest.mark.parametrize(
    "options", ["-c password_encryption=s3cr3t", "s3cr3t", "-c app.token=1 s3cr3t", "-c password_encryption=s3\\ cr3t"]
)
def test_what_the_server_repeats_of_the_options_is_not_shown(url: str, options: str) -> None:
    made = urls.parsed(url).set(query={"options": options})
    store = Store(made.render_as_string(hide_password=False))
    with pytest.raises(StoreError) as caught, store.read():
        pass
    said = "".join(traceback.format_exception(caught.value))
    assert "FATAL" in said
    assert "cr3t" not in said


@pytest.mark.parametrize("command", [["status"], ["status", "--json"], ["check"], ["run", "--log", "*.jsonl"]])
def test_no_command_prints_it(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "tidegauge.yaml").write_text("sources: [{files: '*.jsonl'}]\n")
    url = URLS["password"]
    done = subprocess.run(
        [sys.executable, "-m", "tidegauge.cli", "--debug", *command],
        cwd=tmp_path,
        env={**os.environ, "TIDEGAUGE_STORE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert NOWHERE.split(":", maxsplit=1)[0] in done.stderr
    assert DECODED not in done.stdout + done.stderr
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize("url", [url for name, url in URLS.items() if name in ("user", "password", "sslpassword")])
def test_a_password_in_the_file_is_refused(url: str) -> None:
    assert password_in(url)
    assert not password_in("postgresql://app@host/db?passfile=/run/secrets/pgpass&sslmode=require")
