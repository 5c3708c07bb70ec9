"""`hbr serve`: the page in a real browser, and what its addresses answer."""

import json
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support import beside, hbr

pytest.importorskip("uvicorn", reason="needs hbr[serve]")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="module")
def address(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where `hbr serve` shows two runs on a data set of a few questions."""
    runs = beside(world, tmp_path_factory.mktemp("served"))
    folders = []
    for words in (["--untrained"], ["--steps", "3", "--batch-size", "16"]):
        said = hbr("train", *words, "--device", "cpu", "--output-dir", runs)
        folders.append(said.out.strip())
    limit = ("--set", "evaluate.limit=20")
    command = [sys.executable, "-m", "hbr", "serve", *folders, *limit, "--port", "0"]
    server = subprocess.Popen(
        [*command, "--output-dir", str(runs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        cwd=Path(__file__).parents[2],
    )
    try:
        assert server.stdout is not None
        line = server.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", line), server.communicate(timeout=20)
        yield line
    finally:
        server.terminate()
        server.communicate(timeout=20)


def answer(address: str, path: str, host: str | None = None, **query: str) -> tuple[int, str]:
    request = urllib.request.Request(f"{address}/{path}?{urlencode(query)}")
    if host:
        request.add_header("Host", host)
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_question_is_answered_by_every_run(address: str) -> None:
    query = json.loads(answer(address, "question", language="qab")[1])
    assert query["language"] == "qab"
    status, text = answer(address, "search", question=query["text"], language="qab", pool="qaa")
    found = json.loads(text)
    assert (status, found["query_language"], len(found["runs"])) == (200, "qab", 2)
    assert {hit["language"] for hit in found["runs"][0]["hits"]} == {"qaa"}


def test_mistakes_are_answered_as_such(address: str) -> None:
    status, text = answer(address, "search", question="who?", pool="xx")
    assert (status, "no 'xx'" in json.loads(text)["error"]) == (400, True)
    assert answer(address, "search", question=" ")[0] == 400
    status, text = answer(address, "search", question="who?", k="")  # the field was emptied
    assert (status, json.loads(text)["error"].startswith("k: ")) == (422, True)


def test_a_page_of_others_cannot_read_it_through_another_name(address: str) -> None:
    assert answer(address, "", host="example.org")[0] == 400
    assert answer(address, "")[0] == 200


@pytest.mark.parametrize(
    ("host", "asked", "status"),
    [
        ("0.0.0.0", "10.0.0.7:8000", 200),
        ("::", "[fe80::7]:8000", 200),
        ("::1", "[::1]:8000", 200),
        ("::1", "example.org", 400),
        ("10.0.0.7", "10.0.0.7:8000", 200),
        ("10.0.0.7", "example.org", 400),
    ],
)
def test_it_answers_to_the_host_that_it_listens_on(host: str, asked: str, status: int) -> None:
    from starlette.testclient import TestClient

    from hbr.experiments.serve import application

    task = SimpleNamespace(languages=("de",))
    desk: Any = SimpleNamespace(dataset="made-up", task=task, searchers={"run": None})
    client = TestClient(application(desk, host))
    assert client.get("/", headers={"Host": asked}).status_code == status


def test_in_a_browser_two_runs_stand_side_by_side_with_the_languages_they_find(
    address: str,
) -> None:
    sync = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"needs a browser: none of {', '.join(BROWSERS)} is here")
    with sync.sync_playwright() as driver:
        chrome = driver.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chrome.new_page(viewport={"width": 1400, "height": 900})
        mistakes: list[str] = []
        page.on("pageerror", lambda error: mistakes.append(str(error)))
        page.goto(address)
        page.select_option("#language", "qaa")
        page.click("#random")
        page.wait_for_selector("section.run li")
        panels = [page.locator("section.run").nth(i) for i in range(2)]
        assert all(panel.locator("li:not(.missed)").count() == 10 for panel in panels)
        left, right = (panel.bounding_box() for panel in panels)
        assert (left["y"], left["x"] + left["width"] <= right["x"]) == (right["y"], True)
        shown = panels[0].locator("li:not(.missed) .language").all_inner_texts()
        bar = panels[0].locator(".bar").get_attribute("aria-label")
        counts = dict(part.split() for part in bar.split(", "))
        assert counts == {code: str(shown.count(code)) for code in shown}
        page.fill("#question", "<b>who</b>?")
        page.select_option("#pool", "qab")
        page.press("#question", "Enter")
        page.wait_for_selector("text=nothing is judged")
        assert set(page.locator(".language").all_inner_texts()) == {"qab"}
        page.set_viewport_size({"width": 390, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert mistakes == []
        chrome.close()
