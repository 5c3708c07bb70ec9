"""A page on which questions are put to runs: one template, and two addresses that answer JSON."""

import random
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Query
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware

from hbr.core.errors import UserError
from hbr.experiments.search import Desk, answer_values
from hbr.report.search_page import search_page


def application(desk: Desk, hosts: Sequence[str]) -> FastAPI:
    """Return the application; it answers to requests for these hosts alone.

    `hosts` keeps pages of others from reading it through a name that leads here.
    """
    app = FastAPI(title="hbr", openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))

    @app.exception_handler(UserError)
    def mistake(_: Any, error: UserError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=400)

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
