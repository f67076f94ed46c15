"""The library as an MCP server on standard input and output, so that assistants search it and quote it.

The Model Context Protocol's own SDK speaks the protocol; it is an optional package, `pip install 'refdesk[mcp]'`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

from pydantic import Field

from qa.as_json import answer_as_json, citation_as_json, hit_as_json
from qa.errors import QAError

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

    from qa.library import Library
    from qa.types import DocumentInfo

AROUND = 3_000
"""Characters of a document given on either side of a citation: about a page, which a model reads at once."""
MOST_PASSAGES = 50
"""Passages of one call, 10,000 words: more crowds out what a model was asked."""
MOST_DOCUMENTS = 200
"""Rows of one call's list."""
_INSTRUCTIONS = (
    "Searches the user's own documents. Quote the passages word for word and name the source with page, heading or "
    "line; a citation's id opens the text around it. Where nothing is found, say so: do not answer from elsewhere."
)

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

Question = Annotated[str, Field(description="A question or keywords, in the documents' language if possible")]
Passages = Annotated[int, Field(ge=1, le=MOST_PASSAGES, description="How many passages to find")]
Sources = Annotated[
    list[str] | None,
    Field(description="Search only documents whose source is or matches one of these, such as 'reports/*.pdf'"),
]


def serve(library: Library) -> None:
    """Serve a library over standard input and output until the input ends.

    Raises:
        QAError: the SDK is not installed.
    """
    with suppress(KeyboardInterrupt):
        server(library).run("stdio")


def server(library: Library) -> MCPServer[Any]:
    """A library as an MCP server with four tools, none of which changes anything.

    Raises:
        QAError: the SDK is not installed.
    """
    try:
        from mcp.server.mcpserver import MCPServer
        from mcp.server.mcpserver.exceptions import ToolError
        from mcp_types import ToolAnnotations
    except ImportError as error:
        raise QAError("the MCP server needs the package mcp: install it with `pip install 'refdesk[mcp]'`") from error

    made: MCPServer[Any] = MCPServer("refdesk", title="Refdesk", instructions=_INSTRUCTIONS, log_level="ERROR")

    def tool(function: Callable[Parameters, Result]) -> None:
        """Offer a function as a tool; what its caller can mend is told in one line."""

        @wraps(function)
        def told(*arguments: Parameters.args, **named: Parameters.kwargs) -> Result:
            try:
                return function(*arguments, **named)
            except QAError as error:
                raise ToolError(str(error)) from None

        made.add_tool(told, annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False))

    def search(question: Question, k: Passages = 5, sources: Sources = None) -> dict[str, Any]:
        """Find the passages of the user's documents that fit a question, best first, each with a citation: its source,
        page, heading or line, and the sentence that fits best. A strength of "weak" means that it hardly fits."""
        return {"hits": [hit_as_json(hit) for hit in library.retrieve(question, k, sources=sources)]}

    def ask(
        question: Question,
        k: Passages = 5,
        sources: Sources = None,
        earlier: Annotated[
            list[str] | None, Field(description="The earlier questions that this one follows up on, oldest first")
        ] = None,
    ) -> dict[str, Any]:
        """Answer a question with the best sentences of the user's documents, word for word, with citations. "found" is
        false where no passage fits."""
        return answer_as_json(library.ask(question, k=k, sources=sources, turns=earlier or ()), misses=True)

    def open_citation(
        id: Annotated[str, Field(description="The id of a citation, as search and ask give it")],  # noqa: A002
    ) -> dict[str, Any]:
        """Read the text of a document around a citation, to see what stands before and after the quoted words."""
        context = library.open_citation(id)
        citation, text = context.citation, context.document.text
        low, high = max(0, citation.start - AROUND), min(len(text), citation.end + AROUND)
        hidden = {"characters_before": low, "characters_after": len(text) - high}
        return {"citation": citation_as_json(citation), "text": text[low:high], **hidden}

    def list_documents(
        query: Annotated[str, Field(description="Words or a glob that the source or title must hold")] = "",
        offset: Annotated[int, Field(ge=0, description="Rows to leave out, for the next page of a long list")] = 0,
    ) -> dict[str, Any]:
        """List the user's documents that can be searched: source, title, kind, language, pages and date."""
        rows = [info for info in library.documents() if info.state == "indexed" and _matches(query, info)]
        names = ("source", "title", "kind", "language", "pages", "indexed_at")
        shown = rows[offset : offset + MOST_DOCUMENTS]
        return {"total": len(rows), "documents": [{name: getattr(info, name) for name in names} for info in shown]}

    for function in (search, ask, open_citation, list_documents):
        tool(function)
    return made


def _matches(query: str, info: DocumentInfo) -> bool:
    text = f"{info.source}\n{info.title}".casefold()
    return all(word in text for word in query.casefold().split()) or fnmatchcase(info.source, query)
