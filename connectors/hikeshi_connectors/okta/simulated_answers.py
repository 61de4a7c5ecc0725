"""How the simulated Okta says no: a status, one of its codes, and its envelope around them."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

__all__ = ["Handler", "Refusal", "answering"]

Handler = Callable[[Request], Awaitable[Response]]
_SUMMARIES = {
    "E0000001": "Api validation failed: {}",
    "E0000006": "You do not have permission to perform the requested action",
    "E0000007": "Not found: Resource not found: {}",
    "E0000008": "The requested path was not found",
    "E0000011": "Invalid token provided",
    "E0000022": "The endpoint does not support the provided HTTP method",
    "E0000031": "Invalid search criteria.",
    "E0000047": "API call exceeded rate limit due to too many requests.",
    "E0000090": "The role specified is already assigned to the user.",
}


class Refusal(Exception):
    """Okta says no, with a status and one of its codes."""

    def __init__(self, status: int, code: str, about: str = "", cause: str = "") -> None:
        super().__init__(code)
        self.status, self.code, self.about, self.cause = status, code, about, cause

    def answer(self) -> Response:
        causes = [{"errorSummary": self.cause}] if self.cause else []
        summary = _SUMMARIES.get(self.code, "{}").format(self.about)
        named = {"errorCode": self.code, "errorSummary": summary, "errorLink": self.code, "errorId": "oaesimulated"}
        return JSONResponse({**named, "errorCauses": causes}, status_code=self.status)


def answering(handler: Handler) -> Handler:
    """Return a handler that answers with the Refusal which another one raises."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except Refusal as refusal:
            return refusal.answer()

    return answer
