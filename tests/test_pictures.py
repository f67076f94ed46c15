"""Cited pages as pictures: the right words are marked, and hostile, changed and lost files are told apart."""

from __future__ import annotations

import io
import os
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pypdfium2
import pytest
from browser import serving
from files_for_tests import Words, lines, pdf
from PIL import Image

from embeddings import Encoder
from qa import CitationError, Library, QAError, QuestionError
from qa.child import Limits
from qa.originals import ChangedError, GoneError, original
from qa.page.picture_routes import disposition
from qa.page.site import Settings
from qa.pictures import (
    LIMITS,
    NARROWEST,
    WIDEST,
    NoPageError,
    Picture,
    PictureError,
    Pictures,
    Wanted,
    _ask,
    keys,
    locate,
)

FIRST = lines(
    "The lighthouse of Norderoog was lit in 1871 for the first",
    "time. Its keeper climbed two hundred and four steps every",
    "evening. The lamp burned rape oil until 1902, then petro-",
    "leum, and it went out for good in 1975.",
)
SECOND = [
    *lines("The door is green.", "A bell hangs beside it.", "The door is green.", step=60),
    *lines("A quote starts at the end of this page and", "goes on", top=140),
]
WORDS_OF_FIRST = " ".join(line.text for line in FIRST).replace("petro- leum", "petroleum")


def turned(content: bytes, degrees: int) -> bytes:
    """A PDF whose pages are shown turned, and cropped to where the words are."""
    document = pypdfium2.PdfDocument(content)
    for page in document:
        page.set_rotation(degrees)
        page.set_cropbox(50, 100, 500, 760)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def dark(content: bytes) -> bytes:
    """A page of light words on black."""
    return content.replace(b"BT /F1", b"0 g 0 0 612 792 re f 1 g BT /F1", 1)


def bomb(megabytes: int) -> bytes:
    """A PDF whose page unpacks to many megabytes."""
    packer = zlib.compressobj(9)
    words = b"BT /F1 11 Tf 1 0 0 1 72 700 Tm (Beware of the bomb.) Tj ET"
    data = packer.compress(words) + packer.compress(b" " * megabytes * 1_000_000) + packer.flush()
    return pdf([], streams=[b"<< /Length %d /Filter /FlateDecode >>\nstream\n%b\nendstream" % (len(data), data)])


def painting(times: int) -> bytes:
    """A PDF whose page is painted many times over before there are words on it."""
    words = b"0 g BT /F1 11 Tf 1 0 0 1 72 700 Tm (Beware of the painting.) Tj ET"
    data = b"1 g " + b"0 0 612 792 re f\n" * times + words
    return pdf([], streams=[b"<< /Length %d >>\nstream\n%b\nendstream" % (len(data), data)])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures") / "files"
    folder.mkdir()
    content = pdf([FIRST, SECOND, lines("to the next one, where it ends.", "The end.")])
    (folder / "lighthouse.pdf").write_bytes(content)
    for degrees in (90, 180, 270):
        (folder / f"turned{degrees}.pdf").write_bytes(turned(content, degrees))
    (folder / "dark.pdf").write_bytes(dark(pdf([FIRST])))
    (folder / "bomb.pdf").write_bytes(bomb(120))
    (folder / "painting.pdf").write_bytes(painting(3_000))
    for name in ("changed", "gone", "linked", "pipe"):
        (folder / f"{name}.pdf").write_bytes(pdf([lines(f"This file is called {name} and has one line.")]))
    (folder / "note.md").write_text("# Note\n\nA note has no pages.\n", encoding="utf-8")
    (folder / "a;b \u202ecod.exe\u2068 é.md").write_text("# Odd\n\nThe name of this file is odd.\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def lighthouse(files: Path, encoder: Encoder) -> Iterator[Library]:
    with Library.create(files.parent / "library", encoder=encoder) as made:
        made.sync([files])
        yield made


@pytest.fixture(scope="module")
def pictures(lighthouse: Library) -> Pictures:
    return Pictures(lighthouse)


@pytest.fixture(scope="module")
def client(lighthouse: Library) -> Iterator[httpx.Client]:
    with (
        serving(lighthouse, Settings(originals=True)) as address,
        httpx.Client(base_url=address, timeout=30) as made,
    ):
        yield made


def cited(library: Library, source: str, words: str, nth: int = 0) -> str:
    """The id of a citation of `words` in a file, where they stand for the nth time."""
    key = next(info.document_id for info in library.documents() if info.source == source)
    assert key is not None
    text, start = library.document(key).text, -1
    for _ in range(nth + 1):
        start = text.index(words, start + 1)
    return f"{key}.{start}.{start + len(words)}"


def inside(files: Path, source: str, picture: Picture) -> list[str]:
    """The words in each box, as pdfium reads them out of that part of the page."""
    document = pypdfium2.PdfDocument(files / source)
    page = document[picture.page - 1]
    textpage = page.get_textpage()
    place = pypdfium2.PdfPosConv(page, (0, 0, 100_000, 100_000, 0))
    found = []
    for box in picture.boxes:
        corners = [(box.left, box.top), (box.left + box.width, box.top + box.height)]
        (x0, y0), (x1, y1) = (place.to_page(round(x * 100_000), round(y * 100_000)) for x, y in corners)
        text = textpage.get_text_bounded(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
        found.append(" ".join(text.replace("\ufffe", "").replace("\x02", "").split()))
    return found


def tinted(picture: Picture) -> tuple[int, int]:
    """How many pixels are of a tint that grey ones are not, in the boxes and outside them."""
    pixels = np.asarray(Image.open(io.BytesIO(picture.png)), dtype=np.int16)  # (height, width, 3)
    assert pixels.shape == (picture.height, picture.width, 3)
    tint = pixels[:, :, 0] - pixels[:, :, 2] > 60
    held = np.zeros_like(tint)
    for box in picture.boxes:
        top, left = int(box.top * picture.height), int(box.left * picture.width)
        below, right = (box.top + box.height) * picture.height, (box.left + box.width) * picture.width
        held[top : int(below) + 2, left : int(right) + 2] = True
    return int((tint & held).sum()), int((tint & ~held).sum())


def test_the_quoted_words_are_marked_and_no_others(lighthouse: Library, files: Path, pictures: Pictures) -> None:
    quote = "Its keeper climbed two hundred and four steps every evening."
    picture = pictures.picture(cited(lighthouse, "lighthouse.pdf", quote), 600)
    assert (picture.page, picture.pages, picture.width) == (1, 3, 600)
    assert abs(picture.height - 600 * 792 / 612) <= 1
    assert inside(files, "lighthouse.pdf", picture) == [
        "Its keeper climbed two hundred and four steps every",
        "evening.",
    ]
    in_boxes, outside = tinted(picture)
    area = sum(box.width * box.height for box in picture.boxes) * picture.width * picture.height
    assert in_boxes > 0.5 * area
    assert outside == 0


def test_a_word_that_a_hyphen_parts(lighthouse: Library, files: Path, pictures: Pictures) -> None:
    picture = pictures.picture(cited(lighthouse, "lighthouse.pdf", "petroleum, and it"))
    first, second = inside(files, "lighthouse.pdf", picture)
    assert first.rstrip("-") == "petro"
    assert second == "leum, and it"


@pytest.mark.parametrize("nth", [0, 1])
def test_of_words_that_stand_twice_the_cited_ones_are_marked(
    lighthouse: Library, files: Path, pictures: Pictures, nth: int
) -> None:
    picture = pictures.picture(cited(lighthouse, "lighthouse.pdf", "The door is green.", nth))
    assert picture.page == 2
    (box,) = picture.boxes
    baseline = SECOND[2 * nth].y
    assert box.top < 1 - (baseline + 2) / 792 < box.top + box.height
    assert inside(files, "lighthouse.pdf", picture) == ["The door is green."]


def test_a_quote_that_goes_on_on_the_next_page(lighthouse: Library, files: Path, pictures: Pictures) -> None:
    key = cited(lighthouse, "lighthouse.pdf", "at the end of this page")
    end = cited(lighthouse, "lighthouse.pdf", "one, where it ends.").rpartition(".")[2]
    picture = pictures.picture(f"{key.rpartition('.')[0]}.{end}")
    assert picture.page == 2
    assert inside(files, "lighthouse.pdf", picture) == ["at the end of this page and", "goes on"]
    later = pictures.picture(cited(lighthouse, "lighthouse.pdf", "The end."))
    assert (later.page, inside(files, "lighthouse.pdf", later)) == (3, ["The end."])


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_pages_that_are_turned_and_cropped(lighthouse: Library, files: Path, pictures: Pictures, degrees: int) -> None:
    source = f"turned{degrees}.pdf"
    picture = pictures.picture(cited(lighthouse, source, "Its keeper climbed two hundred"), 600)
    shape = 450 / 660 if degrees == 180 else 660 / 450
    assert abs(picture.width / picture.height - shape) < 0.01
    assert inside(files, source, picture) == ["Its keeper climbed two hundred"]
    in_boxes, outside = tinted(picture)
    assert in_boxes > 100
    assert outside == 0


def test_a_dark_page_is_marked_too(lighthouse: Library, pictures: Pictures) -> None:
    in_boxes, outside = tinted(pictures.picture(cited(lighthouse, "dark.pdf", "Its keeper climbed"), 600))
    assert in_boxes > 100
    assert outside == 0


def test_words_that_are_not_on_the_page_are_not_marked(tmp_path: Path, files: Path, encoder: Encoder) -> None:
    with Library.create(tmp_path / "library", encoder=encoder) as library:
        library.sync([files / "lighthouse.pdf"])
        with library.store.transaction():
            library.store.connection.execute("UPDATE documents SET text = replace(text, 'keeper', 'sexton')")
        pictures = Pictures(library)
        picture = pictures.picture(cited(library, "lighthouse.pdf", "Its sexton climbed two"), 600)
        assert not picture.located
        assert tinted(picture) == (0, 0)
        assert pictures.picture(cited(library, "lighthouse.pdf", "lit in 1871")).located  # once, so it is those
        assert not pictures.picture(cited(library, "lighthouse.pdf", "The")).located  # twice, so it may be others


# Locating


@pytest.mark.parametrize(
    ("page", "quote", "marked"),
    [
        ("one two three", "two", "two"),
        ("one\r\ntwo\tthree", "onetwo", "one\r\ntwo"),
        ("an e\ufb03cient o\ufb03ce", "efficient", "e\ufb03cient"),
        ("an e\ufb03cient office", "ice", "ice"),
        ("hyphen-\nated words", "hyphenated", "hyphen-\nated"),
        ("hyphen\x02ated words", "hyphenated", "hyphen\x02ated"),
        ("soft\u00adware", "software", "soft\u00adware"),
        ("a\u00a0b", "ab", "a\u00a0b"),
        ("x\x00y", "xy", "x\x00y"),
    ],
)
def test_locate_despite_white_space_hyphens_and_ligatures(page: str, quote: str, marked: str) -> None:
    text = "".join(letter for letter, _ in keys(page))
    start = text.index(quote)
    found = locate(page, text, start, start + len(quote))
    assert found is not None
    assert page[found[0] : found[1] + 1] == marked


def test_locate_is_never_wrong() -> None:
    assert locate("a b a", "aba", 2, 3) == (4, 4)  # the same text: the place is known
    assert locate("a b a c", "aba", 2, 3) is None  # another one: twice
    assert locate("a b a c", "aba", 1, 2) == (2, 2)  # once
    assert locate("a b", "ab", 1, 1) is None
    assert locate("", "ab", 0, 2) is None


# Files that changed, and hostile ones


def put_away(path: Path) -> None:
    """Make a file another one, or none, as its name says."""
    if path.stem == "changed":
        path.write_bytes(path.read_bytes() + b"\n% more")
    else:
        path.unlink()
    if path.stem == "linked":
        path.symlink_to(path.with_name("lighthouse.pdf"))
    if path.stem == "pipe":
        os.mkfifo(path)


@pytest.mark.parametrize(
    ("name", "error", "status", "said"),
    [
        ("changed", ChangedError, 409, "The file has changed since it was indexed: changed.pdf"),
        ("linked", ChangedError, 409, "The file has changed since it was indexed: linked.pdf"),
        ("gone", GoneError, 410, "The file is not there any more, or cannot be read: gone.pdf"),
        ("pipe", GoneError, 410, "The file is not a regular one any more: pipe.pdf"),
    ],
)
def test_files_that_are_not_what_was_indexed(
    lighthouse: Library, files: Path, client: httpx.Client, name: str, error: type[QAError], status: int, said: str
) -> None:
    citation = cited(lighthouse, f"{name}.pdf", f"This file is called {name}")
    for part in ("page.png", "page.json", "original"):
        assert client.get(f"/api/citations/{citation}/{part}").status_code == 200
    put_away(files / f"{name}.pdf")
    with pytest.raises(error):
        Pictures(lighthouse).picture(citation)
    for part in ("page.png?width=700", "original"):
        response = client.get(f"/api/citations/{citation}/{part}")
        assert (response.status_code, list(response.json())) == (status, ["error"])
        assert response.json()["error"].startswith(said)
        assert str(files) not in response.text


def test_a_file_that_changes_at_the_last_moment_is_not_drawn(files: Path) -> None:
    wanted = Wanted(str(files / "lighthouse.pdf"), "0" * 64, 1, NARROWEST, "", 0, 0)
    assert _ask(wanted, LIMITS) == ("the file has just changed; run `refdesk index` again", False)


def test_a_copy_that_is_still_there_does(tmp_path: Path, files: Path, encoder: Encoder) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ("a.pdf", "b.pdf"):
        (folder / name).write_bytes((files / "lighthouse.pdf").read_bytes())
    with Library.create(tmp_path / "library", encoder=encoder) as library:
        library.sync([folder])
        citation = cited(library, "a.pdf", "lit in 1871")
        (folder / "a.pdf").write_bytes(b"another")
        assert Pictures(library).picture(citation).located
        with original(library, citation.partition(".")[0]) as found:
            assert found.name == "b.pdf"


@pytest.mark.parametrize(
    ("source", "limits", "said"),
    [
        ("bomb.pdf", Limits(memory=64 << 20), r"GiB of memory"),
        ("painting.pdf", Limits(wall_seconds=1), r"takes more than 1 s"),
        ("painting.pdf", Limits(cpu_seconds=0), r"takes more than 0 s of processor time"),
    ],
)
def test_what_costs_too_much_is_given_up(lighthouse: Library, source: str, limits: Limits, said: str) -> None:
    citation = cited(lighthouse, source, "Beware of the")
    began = time.monotonic()
    with pytest.raises(PictureError, match=rf"^this page cannot be shown: .*{said}"):
        Pictures(lighthouse, limits).picture(citation, WIDEST)
    assert time.monotonic() - began < 15  # it takes longer without limits
    assert Pictures(lighthouse).picture(citation, NARROWEST).located  # the usual limits are enough for it


def test_a_file_that_is_too_costly_costs_its_time_once(lighthouse: Library) -> None:
    pictures = Pictures(lighthouse, Limits(memory=64 << 20))
    citation = cited(lighthouse, "bomb.pdf", "Beware of the")
    for limits in (Limits(memory=64 << 20), Limits()):
        pictures.limits = limits
        with pytest.raises(PictureError):
            pictures.picture(citation)
    assert pictures.picture(cited(lighthouse, "lighthouse.pdf", "lit in 1871")).located


# Keeping


def test_a_picture_is_drawn_once_and_kept(lighthouse: Library) -> None:
    pictures = Pictures(lighthouse)
    citation = cited(lighthouse, "lighthouse.pdf", "lit in 1871")
    start = threading.Barrier(4)

    def one() -> Picture:
        start.wait()
        return pictures.picture(citation, 400)

    with ThreadPoolExecutor(4) as threads:
        drawn = [future.result() for future in [threads.submit(one) for _ in range(4)]]
    assert len({id(picture) for picture in drawn}) == 1
    assert pictures.picture(citation, 401) is not drawn[0]


def test_the_oldest_pictures_are_dropped(lighthouse: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = Pictures(lighthouse)
    first, second = (cited(lighthouse, "lighthouse.pdf", words) for words in ("lit in 1871", "The end."))
    kept = pictures.picture(first, 300)
    assert pictures.picture(first, 300) is kept
    monkeypatch.setattr("qa.pictures.KEPT", len(kept.png) + 300)
    pictures.picture(second, 300)
    assert pictures.picture(first, 300) is not kept


# Over HTTP


def test_page_and_boxes_over_http(client: httpx.Client, lighthouse: Library, pictures: Pictures) -> None:
    citation = cited(lighthouse, "lighthouse.pdf", "lit in 1871")
    expected = pictures.picture(citation, 500)
    response = client.get(f"/api/citations/{citation}/page.png?width=500")
    assert response.content == expected.png
    assert response.headers["content-type"] == "image/png"
    assert response.headers["cache-control"] == "no-store"
    said = client.get(f"/api/citations/{citation}/page.json?width=500").json()
    (box,) = expected.boxes
    assert said == {
        "page": 1,
        "pages": 3,
        "width": expected.width,
        "height": expected.height,
        "located": True,
        "note": None,
        "boxes": [{"left": box.left, "top": box.top, "width": box.width, "height": box.height}],
    }


@pytest.mark.parametrize("width", ["0", "199", "2401", "99999", "-500", "x", "", "1e3", "500.0", "٥٠٠", "9" * 5_000])
def test_widths_that_are_none(client: httpx.Client, lighthouse: Library, width: str) -> None:
    citation = cited(lighthouse, "lighthouse.pdf", "lit in 1871")
    response = client.get(f"/api/citations/{citation}/page.png", params={"width": width})
    assert response.status_code == 400
    assert response.json()["error"].endswith(f"expected {NARROWEST} to {WIDEST} pixels.")


def test_widths(pictures: Pictures, lighthouse: Library) -> None:
    citation = cited(lighthouse, "lighthouse.pdf", "lit in 1871")
    for width in (NARROWEST, WIDEST):
        assert pictures.picture(citation, width).width == width
    with pytest.raises(QuestionError, match="width is 199: expected 200 to 2400 pixels"):
        pictures.picture(citation, NARROWEST - 1)


def test_other_pages(pictures: Pictures, lighthouse: Library, client: httpx.Client) -> None:
    citation = cited(lighthouse, "lighthouse.pdf", "lit in 1871")
    first, third = pictures.picture(citation, 300), pictures.picture(citation, 300, 3)
    assert (first.page, first.located) == (1, True)
    assert (third.page, third.pages, third.located) == (3, 3, False)
    assert pictures.picture(citation, 300, 1) is first
    assert client.get(f"/api/citations/{citation}/page.png?width=300&page=3").content == third.png
    assert client.get(f"/api/citations/{citation}/page.json?width=300&page=3").json()["page"] == 3
    for page in ("0", "4", "99999"):
        said = client.get(f"/api/citations/{citation}/page.json", params={"page": page})
        assert (said.status_code, said.json()["error"]) == (400, f"Page is {page}: expected 1 to 3.")
    for page in ("", "x", "-1", "9" * 6):
        assert client.get(f"/api/citations/{citation}/page.png", params={"page": page}).status_code == 400


def test_a_quote_goes_on_on_the_next_page(tmp_path: Path, encoder: Encoder) -> None:
    (tmp_path / "two.pdf").write_bytes(pdf([lines("The keeper lit the lamp and"), lines("went up the stairs again.")]))
    with Library.create(tmp_path / "library", encoder=encoder) as library:
        library.sync([tmp_path / "two.pdf"])
        document = library.documents()[0].document_id
        assert document is not None
        text = library.document(document).text
        pictures, whole = Pictures(library), f"{document}.0.{len(text)}"
        assert [len(pictures.picture(whole, 300, page).boxes) for page in (1, 2)] == [1, 1]


def test_a_page_like_a_ribbon_stays_small(tmp_path: Path, encoder: Encoder) -> None:
    document = pypdfium2.PdfDocument(pdf([[Words("A ribbon of paper.", 40)]]))
    document[0].set_mediabox(0, 0, 200, 14_000)
    (tmp_path / "ribbon.pdf").write_bytes(b"")
    document.save(tmp_path / "ribbon.pdf")
    with Library.create(tmp_path / "library", encoder=encoder) as library:
        library.sync([tmp_path / "ribbon.pdf"])
        picture = Pictures(library).picture(cited(library, "ribbon.pdf", "A ribbon"), WIDEST)
        assert picture.height <= 6_001
        assert picture.width < 100
        assert picture.located


def test_what_has_no_page(client: httpx.Client, lighthouse: Library, pictures: Pictures) -> None:
    citation = cited(lighthouse, "note.md", "A note has no pages.")
    with pytest.raises(NoPageError):
        pictures.picture(citation)
    assert client.get(f"/api/citations/{citation}/page.png").status_code == 404
    assert (
        client.get(f"/api/citations/{citation}/page.json").json()["error"].startswith("This citation is not in a PDF")
    )
    with pytest.raises(CitationError):
        pictures.picture(f"{'0' * 16}.0.1")
    for part in ("page.png", "page.json", "original"):
        assert client.get(f"/api/citations/{'0' * 16}.0.1/{part}").status_code == 404
        assert client.post(f"/api/citations/{citation}/{part}").status_code == 405
        assert (
            client.get(f"/api/citations/{citation}/{part}", headers={"sec-fetch-site": "cross-site"}).status_code == 403
        )
    for part in ("page.jpg", "original/x", "..%2foriginal", "page.png%0a", "page.png/"):
        assert client.get(f"/api/citations/{citation}/{part}").status_code == 404


# Originals


def test_an_original_is_the_very_file(client: httpx.Client, lighthouse: Library, files: Path) -> None:
    citation = cited(lighthouse, "lighthouse.pdf", "lit in 1871")
    response = client.get(f"/api/citations/{citation}/original")
    assert response.content == (files / "lighthouse.pdf").read_bytes()
    assert response.headers["content-disposition"].startswith('attachment; filename="lighthouse.pdf"')
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["x-content-type-options"] == "nosniff"
    note = cited(lighthouse, "note.md", "A note has no pages.")
    assert client.get(f"/api/citations/{note}/original").content == (files / "note.md").read_bytes()


def test_an_odd_name_is_told_safely(client: httpx.Client, lighthouse: Library) -> None:
    source = next(info.source for info in lighthouse.documents() if info.source.startswith("a;b"))
    told = client.get(f"/api/citations/{cited(lighthouse, source, 'The name of')}/original").headers[
        "content-disposition"
    ]
    assert told.isascii()
    assert told == disposition(source)
    assert "%E2%80%AE" not in told  # the character that turns the direction
    assert "%C3%A9" in told
    assert disposition('x"; a="b\r\nset-cookie: x.pdf').count('"') == 2
    assert "/" not in disposition("../../etc/passwd")


def test_pictures_that_wait_leave_the_page_its_threads(
    client: httpx.Client, lighthouse: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    citation, draw, turn = cited(lighthouse, "lighthouse.pdf", "lit in 1871"), Pictures.picture, threading.Event()

    def slowly(pictures: Pictures, citation_id: str, width: int, page: int | None) -> Picture:
        """A picture that comes when it may."""
        turn.wait(30)
        return draw(pictures, citation_id, width, page)

    monkeypatch.setattr(Pictures, "picture", slowly)
    with ThreadPoolExecutor(50) as many:
        asked = [many.submit(client.get, f"/api/citations/{citation}/page.png") for _ in range(50)]
        time.sleep(1)  # all of them have come, and wait
        try:
            assert client.get("/health", timeout=5).status_code == 200
        finally:
            turn.set()
        assert {one.result().status_code for one in asked} == {200}


def test_originals_are_given_out_only_where_allowed(lighthouse: Library) -> None:
    citation = cited(lighthouse, "lighthouse.pdf", "lit in 1871")
    with serving(lighthouse) as address:
        response = httpx.get(f"{address}/api/citations/{citation}/original", timeout=20)
        assert response.status_code == 403
        assert response.json() == {"error": "This server does not give out the files themselves."}
        assert httpx.get(f"{address}/api/citations/{citation}/page.png", timeout=20).status_code == 200
