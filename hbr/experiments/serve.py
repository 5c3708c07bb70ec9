"""A page on which questions are put to runs: one template, and two addresses that answer JSON."""

import random
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Query
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware

from hbr.core.errors import UserError
from hbr.experiments.search import Desk, answer_values
from hbr.report.search_page import search_page


def application(desk: Desk, host: str) -> FastAPI:
    """Return the application; it answers to requests for a host and this machine alone.

    That keeps pages of others from reading it through a name that leads here. Where it listens on
    every address, it answers to every name.
    """
    hosts = [host, "localhost", "127.0.0.1"]
    if host in ("0.0.0.0", "::"):
        hosts = ["*"]
    elif ":" in host:
        hosts += [f"[{host}]", "["]  # starlette before 1.0 cut `[::1]:8000` at its first colon
    app = FastAPI(title="hbr", openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts)

    @app.exception_handler(UserError)
    def mistake(_: Any, error: UserError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=400)

    @app.exception_handler(RequestValidationError)
    def misspelled(_: Any, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return JSONResponse({"error": f"{first['loc'][-1]}: {first['msg']}"}, status_code=422)

    @app.get("/")
    def page() -> HTMLResponse:
        return HTMLResponse(search_page(desk.dataset, desk.task.languages, list(desk.searchers)))

    @app.get("/search")
    def search(
        question: str, language: str = "", pool: str = "all", k: int = Query(10, ge=1, le=1000)
    ) -> dict[str, Any]:
        if not question.strip():
            raise UserError("the question is blank")
        answers = desk.ask(question, language=language or None, pool=pool, k=k)
        return answer_values(question, desk.dataset, answers)

    @app.get("/question")
    def question(language: str = "") -> dict[str, str]:
        return a_question(desk, language)

    return app


def a_question(desk: Desk, language: str) -> dict[str, str]:
    """Return a question of the data set, drawn anew every time, in a language or in any."""
    task = desk.task
    places: Sequence[int] = range(len(task.query_language))
    if language in task.languages:
        block = task.query_blocks[task.languages.index(language)]
        places = range(block.start, block.stop) or places
    place = random.choice(places)
    code = task.languages[task.query_language[place]]
    return {"text": task.queries["text"][place].as_py(), "language": code}
