"""What programs may ask for over HTTP, as an OpenAPI 3.1 description."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from qa.page import api
from qa.pictures import NARROWEST, WIDEST, WIDTH

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_INTEGER: Json = {"type": "integer"}
_YES: Json = {"type": "boolean"}
_OBJECT: Json = {"type": "object"}
_ERRORS = {
    400: "The call is not right, or names another host.",
    401: "Users log in here: send name and password as HTTP Basic.",
    403: "This server does not allow it.",
    404: "There is none (any more).",
    408: "The file stopped coming.",
    409: "The library or the file is not in the state for it.",
    410: "The file is gone.",
    411: "The call does not say its length.",
    413: "The call is too long.",
    422: "The page cannot be drawn.",
    429: "Too many questions or requests: try again after so many seconds.",
    503: "The library, its encoder or its queue cannot be used now.",
    507: "The disk is full, or the library's folder holds as much as it may.",
}
_ANY = (400, 401, 403, 429)
"""What the server may answer to any request, before it looks at what is asked."""
_WITH_BODY = (411, 413)
"""And to any that brings a body."""
_WAIT: Json = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds to wait"}}


def _or_null(schema: Json) -> Json:
    return {"anyOf": [schema, {"type": "null"}]}


def _array(items: Json) -> Json:
    return {"type": "array", "items": items}


def _object(optional: Json | None = None, **properties: Json) -> Json:
    """An object that has all of `properties` and may have those of `optional`."""
    return {"type": "object", "properties": {**properties, **(optional or {})}, "required": list(properties)}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _query(name: str, schema: Json, what: str, *, required: bool = False) -> Json:
    return {"name": name, "in": "query", "schema": schema, "description": what, "required": required}


def _path(name: str, what: str) -> Json:
    return {"name": name, "in": "path", "schema": _TEXT, "description": what, "required": True}


def _operation(
    summary: str, answer: Json, *errors: int, takes: tuple[Json, ...] = (), body: Json | None = None, code: int = 200
) -> Json:
    """An operation: what it does, the content of its answer by media type, and the errors it may give of its own."""
    refused = {"application/json": {"schema": _ref("Error")}}
    answers = {str(code): {"description": "Done.", "content": answer}}
    for error in sorted({*_ANY, *(_WITH_BODY if body else ()), *errors}):
        answers[str(error)] = {"description": _ERRORS[error], "content": refused}
    answers["429"]["headers"] = _WAIT
    made: Json = {"summary": summary, "responses": answers}
    if takes:
        made["parameters"] = list(takes)
    if body:
        made["requestBody"] = {"required": True, "content": body}
    return made


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _file(media_type: str) -> Json:
    return {media_type: {}}


_COUNTED: Json = {"type": "integer", "minimum": 0}
_FRACTION: Json = {"type": "number", "minimum": 0, "maximum": 1}
_NOTE: Json = {**_TEXT, "description": "where no document has the sources and values asked for: which those are"}
_SCHEMAS: Json = {
    "Error": _object(error={**_TEXT, "description": "what was expected, what came, what to do"}),
    "Citation": _object(
        id={**_TEXT, "description": "names document, version and span; opens the same words later"},
        source=_TEXT,
        title=_TEXT,
        page=_or_null(_INTEGER),
        heading=_or_null(_TEXT),
        line=_or_null(_INTEGER),
        row=_or_null(_INTEGER),
        start={**_COUNTED, "description": "first character in the document's text"},
        end={**_COUNTED, "description": "the character after the last"},
        quote=_TEXT,
        sources={**_array(_TEXT), "description": "all files that hold these words"},
    ),
    "Hit": _object(
        rank={"type": "integer", "minimum": 1},
        score=_FRACTION,
        strength={"enum": ["strong", "partial", "weak"]},
        passage_id=_TEXT,
        text=_TEXT,
        citation=_ref("Citation"),
    ),
    "Answer": _object(
        {"misses": _array(_ref("Hit")), "note": _NOTE},
        question=_TEXT,
        searched={**_TEXT, "description": "what was searched: the question, with the earlier ones it follows up on"},
        found={**_YES, "description": "false where all passages are weak"},
        answer={
            **_array(_object(text=_TEXT, citations=_array(_ref("Citation")))),
            "description": "the best sentences, word for word",
        },
        hits=_array(_ref("Hit")),
    ),
    "Passages": _object({"note": _NOTE}, question=_TEXT, searched=_TEXT, hits=_array(_ref("Hit"))),
    "Context": _object(
        citation=_ref("Citation"),
        document=_object(
            id=_TEXT,
            title=_TEXT,
            kind=_TEXT,
            language=_or_null(_TEXT),
            pages=_or_null(_INTEGER),
            characters=_COUNTED,
            sources=_array(_TEXT),
        ),
        start={**_COUNTED, "description": "where `text` starts in the document's text"},
        end=_COUNTED,
        text={**_TEXT, "description": "the document's text around the citation"},
    ),
    "Page": _object(
        page={"type": "integer", "minimum": 1},
        pages={"type": "integer", "minimum": 1},
        width={**_COUNTED, "description": "pixels of the picture"},
        height=_COUNTED,
        located={**_YES, "description": "false where the words could not be found on the page, and nothing is marked"},
        note=_or_null(_TEXT),
        boxes={
            **_array(_object(left=_FRACTION, top=_FRACTION, width=_FRACTION, height=_FRACTION)),
            "description": "where the quoted words are, one box a line, in fractions of the page",
        },
    ),
    "Status": _object(
        documents=_COUNTED,
        files=_COUNTED,
        failed=_COUNTED,
        passages=_COUNTED,
        sentences=_COUNTED,
        vectors=_COUNTED,
        languages=_array(_TEXT),
        encoder=_TEXT,
        fingerprint=_TEXT,
        engine=_TEXT,
        encoded_by=_TEXT,
        schema=_INTEGER,
        generation=_INTEGER,
        bytes=_COUNTED,
        indexes=_TEXT,
        tuned=_OBJECT,
    ),
    "Document": _object(
        id=_TEXT,
        source={**_TEXT, "description": "exact, for `sources`"},
        document=_or_null(_TEXT),
        path={**_TEXT, "description": "the source as it is safe to show"},
        name=_TEXT,
        folder=_TEXT,
        title=_TEXT,
        kind=_TEXT,
        language=_or_null(_TEXT),
        pages=_or_null(_INTEGER),
        passages=_COUNTED,
        bytes=_COUNTED,
        date=_TEXT,
        state={"enum": ["indexed", "failed"]},
        reason=_or_null(_TEXT),
        warnings=_array(_TEXT),
        uploaded=_YES,
    ),
    "Documents": _object(
        total={**_COUNTED, "description": "documents that fit"},
        all=_COUNTED,
        failed=_COUNTED,
        offset=_COUNTED,
        documents=_array(_ref("Document")),
        folders=_array(_object(folder=_TEXT, path=_TEXT, name=_TEXT, depth=_COUNTED, files=_COUNTED)),
        read_only=_YES,
        largest={**_COUNTED, "description": "bytes of an upload at most"},
        suffixes={**_array(_TEXT), "description": "ends of the names of files that are read"},
    ),
    "Job": _object(
        id=_TEXT,
        state={"enum": ["running", "done"]},
        stage=_TEXT,
        done={**_COUNTED, "description": "files that are done"},
        total=_COUNTED,
        progress=_FRACTION,
        revision={**_COUNTED, "description": "give it as `since` to get only what changes later"},
        files=_array(
            _object(
                number=_COUNTED,
                name=_TEXT,
                state=_TEXT,
                reason=_or_null(_TEXT),
                passages=_or_null(_INTEGER),
                warnings=_array(_TEXT),
                document={**_or_null(_TEXT), "description": "what it holds; a citation's id with .0.0 after it"},
                again={**_YES, "description": "was it in the library before?"},
                older={
                    **_or_null(_object(path=_TEXT, uploaded=_YES)),
                    "description": "another file of the name that it came with; one that was uploaded can be replaced",
                },
            )
        ),
    ),
    "Conversations": _object(
        kept={**_YES, "description": "false where this server keeps no conversations"},
        conversations=_array(_object(id=_TEXT, title=_TEXT, updated=_TEXT, exchanges=_COUNTED)),
        more=_YES,
    ),
    "Conversation": _object(
        id=_TEXT, title=_TEXT, created=_TEXT, updated=_TEXT, exchanges=_array(_ref("Answer")), skipped=_COUNTED
    ),
}

_ASKING = (
    _query("q", _TEXT, "the question, up to 4,000 characters", required=True),
    _query("k", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 5}, "passages to find"),
    _query("source", _array(_TEXT), "search only sources that are or match one of these globs"),
    _query("after", _array(_TEXT), "the earlier questions of the conversation, oldest first"),
    _query("kind", _TEXT, "search only documents of this kind, such as pdf"),
    _query("language", _TEXT, "search only documents in this language, such as en"),
    _query("title", _TEXT, "search only documents with this title"),
    _query("root", _TEXT, "search only files of this indexed folder"),
    _query("by", {"enum": ["both", "meaning", "words"], "default": "both"}, "how passages are found"),
    _query("dense_weight", _FRACTION, "weight of the meaning, in place of `by`"),
)
_MISSES = _query("misses", _YES, "where nothing was found, give the nearest passages")
_CITATION = _path("citation", "a citation's id")
_CHOSEN = (
    _query("id", _array(_TEXT), "a document's id; several times for several"),
    _query("source", _array(_TEXT), "or its exact source"),
)


def _questions(name: str, what: str, *more: Json) -> Json:
    """The two ways to ask: in the address, and with a body that can hold several questions."""
    answer = _ref(name)
    call = {"Answer": "Ask", "Passages": "Search"}[name]
    errors = (409, 503)
    inside = (*_ASKING, *more)
    return {
        "get": _operation(f"{what}, the question in the address", _json(answer), *errors, takes=inside),
        "post": _operation(
            f"{what}; for several questions a list in their order",
            _json({"oneOf": [answer, _array(answer)]}),
            *errors,
            body=_json(_ref(call)),
        ),
    }


_WIDTH = _query(
    "width", {"type": "integer", "minimum": NARROWEST, "maximum": WIDEST, "default": WIDTH}, "pixels of the picture"
)
_PAGE = _query("page", {"type": "integer", "minimum": 1}, "another page of the document than the cited one")
_DRAWN = (404, 409, 410, 422, 503)
_PATHS: Json = {
    "/api/ask": _questions("Answer", "The best sentences for a question, with citations", _MISSES),
    "/api/retrieve": _questions("Passages", "The best passages for a question"),
    "/api/status": {"get": _operation("What the library holds", _json(_ref("Status")), 503)},
    "/api/openapi.json": {"get": _operation("This description", _json(_OBJECT))},
    "/api/citations/{citation}": {
        "get": _operation("The text around a citation", _json(_ref("Context")), 404, 503, takes=(_CITATION,))
    },
    "/api/citations/{citation}/page.png": {
        "get": _operation(
            "The cited page of a PDF, the quoted words marked",
            _file("image/png"),
            *_DRAWN,
            takes=(_CITATION, _WIDTH, _PAGE),
        )
    },
    "/api/citations/{citation}/page.json": {
        "get": _operation(
            "Where the quoted words are on it", _json(_ref("Page")), *_DRAWN, takes=(_CITATION, _WIDTH, _PAGE)
        )
    },
    "/api/citations/{citation}/original": {
        "get": _operation(
            "The file itself, where the server gives it out",
            _file("application/octet-stream"),
            *(404, 409, 410, 503),
            takes=(_CITATION,),
        )
    },
    "/api/documents": {
        "get": _operation(
            "The files of the library",
            _json(_ref("Documents")),
            takes=(
                _query("q", _TEXT, "words that path or title hold"),
                _query("state", {"enum": ["", "indexed", "failed", "warnings", "uploaded"]}, "only these"),
                _query("folder", _TEXT, "only files in or below this folder"),
                _query("sort", _TEXT, "source, title, date, size, pages or passages; with - before it, reversed"),
                _query("offset", _COUNTED, "rows to leave out"),
                _query("limit", {"type": "integer", "minimum": 1, "maximum": 500}, "rows to give"),
            ),
        ),
        "post": _operation(
            "Add a file, or a .zip with files",
            _json(_ref("Job")),
            *(404, 408, 503, 507),
            takes=(
                _query("name", _TEXT, "the file's name", required=True),
                _query("job", _TEXT, "an earlier upload that this one belongs to"),
            ),
            body=_file("application/octet-stream"),
            code=201,
        ),
        "patch": _operation(
            "Rename an uploaded file",
            _json(_object(source=_TEXT)),
            *(404, 409, 503, 507),
            takes=_CHOSEN,
            body=_json(_object(name=_TEXT)),
        ),
        "delete": _operation(
            "Remove documents; uploaded files are deleted",
            _json(_object(removed=_array(_TEXT), deleted=_COUNTED, note=_TEXT)),
            *(404, 503),
            takes=_CHOSEN,
        ),
    },
    "/api/documents/reindex": {
        "post": _operation("Read files again", _json(_ref("Job")), *(404, 411, 413, 503), takes=_CHOSEN, code=201)
    },
    "/api/jobs": {"get": _operation("Your uploads", _json(_object(jobs=_array(_ref("Job")))))},
    "/api/jobs/{job}": {
        "get": _operation(
            "How far an upload is",
            _json(_ref("Job")),
            404,
            takes=(_path("job", "its id"), _query("since", _COUNTED, "only files that changed since this revision")),
        ),
        "delete": _operation("Stop what waits", _json(_ref("Job")), 404, takes=(_path("job", "its id"),)),
    },
    "/api/jobs/{job}/replace": {
        "post": _operation(
            "Give files of an upload the names of the older ones they came beside, which are deleted",
            _json(_ref("Job")),
            *(404, 409, 411, 413, 503),
            takes=(
                _path("job", "its id"),
                _query("number", _array(_COUNTED), "a file's number; several times for several, none for all"),
                _query("since", _COUNTED, "only files that changed since this revision"),
            ),
        )
    },
    "/api/conversations": {
        "get": _operation(
            "Your conversations, newest first",
            _json(_ref("Conversations")),
            503,
            takes=(_query("q", _TEXT, "words to search for"), _query("offset", _COUNTED, "rows to leave out")),
        ),
        "delete": _operation("Delete all your conversations", _json(_object(deleted=_COUNTED)), 503),
    },
    "/api/conversations/{conversation}": {
        "get": _operation(
            "A conversation", _json(_ref("Conversation")), 404, 503, takes=(_path("conversation", "its id"),)
        ),
        "patch": _operation(
            "Rename a conversation",
            _json(_object(id=_TEXT)),
            *(404, 503),
            takes=(_path("conversation", "its id"),),
            body=_json(_object(title=_TEXT)),
        ),
        "delete": _operation(
            "Delete a conversation",
            _json(_object(deleted=_COUNTED)),
            *(404, 503),
            takes=(_path("conversation", "its id"),),
        ),
    },
    "/api/conversations/{conversation}/export.{form}": {
        "get": _operation(
            "A conversation to take along",
            {"text/markdown": {"schema": _TEXT}, **_json(_ref("Conversation"))},
            *(404, 503),
            takes=(
                _path("conversation", "its id"),
                {**_path("form", "Markdown or JSON"), "schema": {"enum": ["md", "json"]}},
            ),
        )
    },
    "/api/exchanges/{exchange}/rating": {
        "post": _operation(
            "Rate an answer",
            _json(_object(rating=_INTEGER)),
            *(404, 503),
            takes=(_path("exchange", "the answer's id"),),
            body=_json(_object({"note": {**_TEXT, "maxLength": 2000}}, rating={"enum": [-1, 0, 1]})),
        )
    },
    "/api/feedback.jsonl": {
        "get": _operation("Your rated answers as a question set for `refdesk eval`", _file("application/jsonl"), 503)
    },
}


def document() -> Json:
    """The description of all that is below /api."""
    calls: list[Any] = [(model, "validation") for model in (api.Search, api.Ask, api.EarlierTurn)]
    models = models_json_schema(calls, ref_template="#/components/schemas/{model}")[1]["$defs"]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Refdesk",
            "version": "1",
            "description": "Questions to one's own documents: passages and sentences, word for word, with citations.",
        },
        "servers": [{"url": ".."}],
        "paths": _PATHS,
        "components": {"schemas": {**_SCHEMAS, **models}},
    }
