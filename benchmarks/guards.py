"""Take the page's guards out, one at a time: for each of them a test has to fail.

    python -m benchmarks.guards [--only WORDS …]

The files of the checkout are copied into a temporary folder as they are now. There the tests of all guards must pass
once; then each guard is taken out, its own tests are run, and it is put back. A guard is held when one of them fails.
Exit code 1 where one is not held, or does not stand in its file exactly once any more. All of them take half an
hour of one core, most of it for loading the model again and again.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
SLOWEST = 1_200
"""Seconds of one run of tests; what hangs is not held."""

API, DOCUMENTS, GUARD, HISTORY = "qa/page/api.py", "qa/page/document_routes.py", "qa/page/guard.py", "qa/history.py"
LIMITS, LOGIN, ORIGINALS, PICTURES = "qa/page/limits.py", "qa/page/login.py", "qa/originals.py", "qa/pictures.py"
DOWNLOADS, SERVER, UNPACK, UPLOADS = "qa/page/picture_routes.py", "qa/page/server.py", "qa/unpack.py", "qa/uploads.py"
CHAT, ESCAPE, SITE, WATCH = "qa/page/chat.py", "qa/escape.py", "qa/page/site.py", "qa/page/watch.py"
CHILD, LOG = "qa/child.py", "qa/page/log.py"
FILTERS, SEGMENT, STORE = "qa/filters.py", "qa/segment.py", "qa/store.py"


@dataclass(frozen=True, slots=True)
class Guard:
    """One guard: the file that it is in, its text there, what stands in its place without it, and which tests hold it.

    The tests are pytest's names below `tests/`, with a space between two.
    """

    name: str
    file: str
    text: str
    without: str
    tests: str

    @property
    def nodes(self) -> list[str]:
        """The tests as pytest takes them."""
        return [f"tests/{test}" for test in self.tests.split()]


# fmt: off
GUARDS = (
    # The door
    Guard("other hosts", GUARD, "if not self._served(host):", "if False:",
          "page/test_http.py::test_other_hosts_are_refused"),
    Guard("addresses of other hosts", GUARD, "(self.any_address and _is_address(name))", "_is_address(name)",
          "page/test_rendering.py::test_hosts_that_are_answered"),
    Guard("names where any address is served", GUARD, "(self.any_address and _is_address(name))", "self.any_address",
          "page/test_rendering.py::test_hosts_that_are_answered"),
    Guard("other origins", GUARD, 'if headers.get(b"origin", "").partition("://")[2] not in ("", host) or ', "if ",
          "page/test_http.py::test_other_origins_are_refused_and_not_reflected"),
    Guard("the origin null", GUARD, ' or headers.get(b"origin") == "null":', ":",
          "page/test_http.py::test_other_origins_are_refused_and_not_reflected"),
    Guard("other sites that load", GUARD,
          'if headers.get(b"sec-fetch-site") == "cross-site" and headers.get(b"sec-fetch-mode") != "navigate":',
          "if False:", "page/test_http.py::test_another_site_may_link_here_but_not_load"),
    Guard("other sites that link to what is for programs", GUARD,
          'if headers.get(b"sec-fetch-site", "none") not in ("same-origin", "none"):', "if False:",
          "page/test_history_http.py::test_other_sites_reach_nothing"),
    Guard("web sockets", GUARD, 'if scope["type"] != "http":', "if False:",
          "page/test_http.py::test_no_web_socket_is_opened"),
    Guard("methods", GUARD, "if method not in rule.methods:", "if False:", "page/test_documents_http.py::test_methods"),
    Guard("reading only", GUARD, 'if self.read_only and rule.changes and method != "GET":', "if False:",
          "page/test_operators.py::test_a_read_only_server_refuses_what_changes"),
    Guard("reading only: no history", SERVER, "None if settings.read_only else History.open", "History.open",
          "page/test_history_http.py::test_a_read_only_server_keeps_nothing"),
    Guard("reading only: no files that waited", DOCUMENTS, "if not site.settings.read_only:", "if True:",
          "page/test_documents_http.py::test_a_read_only_server_leaves_what_waits"),
    Guard("closed routes: Gradio's uploads and files", GUARD, "elif not self._open(path, scope[LIBRARY]):",
          "elif False:", "page/test_http.py::test_closed_calls page/test_api.py::test_only_ask_can_be_called"),
    Guard("closed routes beside several libraries", GUARD, "if self.front.names and not scope[LIBRARY]:", "if False:",
          "page/test_operators.py::test_paths_of_several_libraries_stay_closed"),
    Guard("long bodies", GUARD, "if len(length) > 15 or int(length) > longest else None", "if False else None",
          "page/test_http.py::test_long_bodies_are_refused"),
    Guard("bodies without a length", GUARD, "or not (length.isascii() and length.isdigit()):", ":",
          "page/test_http.py::test_long_bodies_are_refused page/test_operators.py::test_long_bodies"),
    Guard("bodies in chunks", GUARD, 'b"transfer-encoding" in headers or ', "",
          "page/test_documents_http.py::test_lengths"),
    Guard("the longest body of each route", GUARD, "if rule.upload else rule.longest", "if rule else 0",
          "page/test_history_http.py::test_methods_and_lengths"),
    Guard("logging in", GUARD, "elif not self.front.open_to_all(path, scope[LIBRARY]):", "elif False:",
          "page/test_operators.py::test_nothing_is_answered_before_logging_in"),
    Guard("visitors' numbers where people log in", GUARD, '"" if self.front.door else visitor or fresh',
          "visitor or fresh", "page/test_operators.py::test_a_visitors_number_is_nobody_where_people_log_in"),
    Guard("visitors' numbers that are none", SITE, "and _VISITOR.fullmatch(value)", "and value",
          "page/test_history_http.py::test_a_users_name_is_no_visitors_number"),
    Guard("metrics", GUARD, "if path == METRICS and not (", "if False and not (",
          "page/test_operators.py::test_metrics_are_for_this_machine_and_users"),
    Guard("metrics through a proxy", GUARD, " and not passed_on", "",
          "page/test_operators.py::test_metrics_are_for_this_machine_and_users"),
    Guard("metrics by another name", GUARD, ' and is_loopback(host_name(headers.get(b"host", "")))', "",
          "page/test_operators.py::test_metrics_are_for_this_machine_and_users"),
    Guard("forwarded headers", GUARD, 'if not pair[0].lower().startswith(b"x-forwarded-")', "",
          "page/test_operators.py::test_below_a_root_path page/test_api.py::test_only_ask_can_be_called"),
    Guard("the visitor's cookie is not for scripts", GUARD, "HttpOnly; SameSite=Strict{safe}", "SameSite=Strict{safe}",
          "page/test_operators.py::test_the_visitors_cookie"),
    Guard("the visitor's cookie is not for other sites", GUARD, "HttpOnly; SameSite=Strict{safe}", "HttpOnly{safe}",
          "page/test_operators.py::test_the_visitors_cookie"),
    Guard("the visitor's cookie keeps to HTTPS", GUARD, "HttpOnly; SameSite=Strict{safe}", "HttpOnly; SameSite=Strict",
          "page/test_operators.py::test_the_visitors_cookie"),
    # What browsers are told
    Guard("headers of every response", GUARD, "[*kept, *marked]", "kept",
          "page/test_http.py::test_every_response_has_the_headers"),
    Guard("a report's sandbox", GUARD, "REPORT_HEADERS if REPORT.fullmatch(path) else HEADERS", "HEADERS",
          "page/test_http.py::test_what_a_page_may_do_is_written_down_here_as_well"),
    *(
        Guard(f"policy: {line}", GUARD, f'        "{line}",', "",
              "page/test_http.py::test_what_a_page_may_do_is_written_down_here_as_well")
        for line in ("default-src 'self'", "img-src 'self' data: blob:", "connect-src 'self'", "frame-src 'none'",
                     "object-src 'none'", "base-uri 'self'", "form-action 'self'", "frame-ancestors 'none'")
    ),
    *(
        Guard(f"header: {line}", GUARD, f'    (b"{line}"', '    (b"x-none"',
              "page/test_http.py::test_what_a_page_may_do_is_written_down_here_as_well")
        for line in ("x-content-type-options", "x-frame-options", "referrer-policy", "cross-origin-opener-policy",
                     "cross-origin-resource-policy", "permissions-policy")
    ),
    # Gradio
    Guard("Gradio's own policy for other origins", SERVER, "app.add_middleware(CORSMiddleware, allow_origins=[])", "",
          "page/test_http.py::test_no_origin_is_allowed_by_cors"),
    Guard("Gradio's checks of file paths", SERVER, "blocks.has_launched = True", "",
          "page/test_http.py::test_path_checks_of_gradio_are_on "
          "page/test_http.py::test_a_path_in_place_of_a_citation_is_refused"),
    Guard("Gradio's paths that are allowed", SERVER, "allowed_paths=[]", 'allowed_paths=["/"]',
          "page/test_http.py::test_gradio_itself_gives_no_file_and_takes_no_long_one"),
    Guard("Gradio's longest upload", SERVER, "max_file_size=LONGEST_BODY", "max_file_size=None",
          "page/test_http.py::test_gradio_itself_gives_no_file_and_takes_no_long_one"),
    Guard("Gradio's errors", SERVER, "show_error=False", "show_error=True",
          "page/test_http.py::test_errors_that_nobody_expected_stay_in_the_terminal"),
    Guard("Gradio's record of runs", SERVER, "run_history=False", "run_history=True",
          "page/test_http.py::test_gradio_records_nothing_and_tells_nobody"),
    Guard("Gradio's calls past the queue", SERVER, "api_open=False", "api_open=True",
          "page/test_http.py::test_gradio_itself_takes_no_call_past_the_queue"),
    Guard("Gradio's word to its makers", SERVER, 'os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"', "pass",
          "page/test_http.py::test_gradio_records_nothing_and_tells_nobody"),
    Guard("Gradio's temporary folder", SERVER, "_private_folder(), ", "",
          "page/test_http.py::test_the_command_says_one_line_and_ends_quietly"),
    Guard("one function that others may call", "qa/page/layout.py", '"api_visibility": "private", ', "",
          "page/test_http.py::test_all_functions_but_one_are_private_and_unnamed_calls_stay_in_the_queue"),
    Guard("one line of an error for programs", API, "print_exception=False", "print_exception=True",
          "page/test_api.py::test_gradio_client_hears_of_mistakes"),
    # What the browser says
    Guard("citations that are none", CHAT, "not isinstance(reference, str) or len(reference) > _LONGEST_ID", "False",
          "page/test_http.py::test_hostile_citations_give_one_calm_line"),
    Guard("questions that are too long", "qa/library.py", "if len(question) > LONGEST_QUESTION:", "if False:",
          "page/test_http.py::test_mistakes_are_one_calm_line"),
    Guard("scopes that are too long", CHAT, "isinstance(text, str) and len(text) <= _LONGEST_SCOPE",
          "isinstance(text, str)", "page/test_chat.py::test_a_scope_that_makes_no_sense_searches_nothing"),
    Guard("numbers of passages that are none", CHAT, "type(k) is int and k in PASSAGES", "k in PASSAGES",
          "page/test_chat.py::test_what_a_scope_does_not_say_is_the_default"),
    Guard("ids that are none", CHAT, "<= _LONGEST_ID and said.isascii() else", "<= _LONGEST_ID else",
          "page/test_chat.py::test_what_a_scope_does_not_say_is_the_default"),
    Guard("functions that are not there", GUARD, "if path != JOIN or type(error.args[0]) is not int:", "if True:",
          "page/test_http.py::test_a_function_that_is_not_there_is_refused_in_one_line"),
    Guard("sessions that are not there", GUARD,
          "if path != DATA or not isinstance(error.__cause__, HTTPException):", "if True:",
          "page/test_http.py::test_a_session_that_is_not_there_is_told_so"),
    Guard("calls that ask for too much", API, "if asked.k * len(questions) > MOST_PASSAGES:", "if False:",
          "page/test_api.py::test_mistakes_are_one_line"),
    Guard("bodies longer than they say", "qa/page/evaluation_routes.py", "if len(content) > longest:", "if False:",
          "page/test_evaluation_http.py::test_a_body_that_is_longer_than_it_says_is_not_read_on"),
    Guard("question sets that come slowly", "qa/page/evaluation_routes.py", "if len(coming) > UPLOADS_AT_ONCE and ",
          "if False and ", "page/test_evaluation_http.py::test_those_who_send_slowly_keep_nobody_out"),
    Guard("earlier questions of one to evaluate", "qa/evaluation/questions.py", "if len(history) > MOST_TURNS:",
          "if False:", "test_questions.py::test_a_bad_file_gives_one_line"),
    Guard("an evaluation that is stopped among earlier questions", "qa/evaluation/evaluate.py",
          ".turn())\n        tell()\n", ".turn())\n",
          "test_evaluation.py::test_a_run_is_stopped_between_earlier_questions_which_are_asked_once"),
    Guard("files of an evaluation", "qa/page/evaluation_routes.py",
          'if run.state != "done" or name not in _TYPES:', "if False:",
          "page/test_evaluation_http.py::test_one_at_a_time_stop_and_what_is_kept"),
    # Escaping
    Guard("escaping of tags", ESCAPE, '"&<>', '"&',
          "page/test_rendering.py::test_escaped_text_comes_back_and_has_no_tag"),
    Guard("escaping of quotes", ESCAPE, "\\\"'`$", "`$",
          "page/test_rendering.py::test_escaped_text_comes_back_and_has_no_tag"),
    Guard("escaping of Gradio's templates", ESCAPE, "`${}\\\\", "",
          "page/test_rendering.py::test_escaped_text_comes_back_and_has_no_tag "
          "page/test_browser.py::test_hostile_documents_are_text"),
    Guard("names without what nobody sees", ESCAPE, "unicodedata.category(c) in _SHOWN", "False",
          "page/test_rendering.py::test_names_are_one_isolated_line"),
    Guard("names on one line", ESCAPE, '" ".join(text.split())', "text",
          "page/test_rendering.py::test_names_are_one_isolated_line"),
    Guard("names isolated from what follows", ESCAPE, "<bdi>{escape(plain(text))}</bdi>", "{escape(plain(text))}",
          "page/test_rendering.py::test_names_are_one_isolated_line"),
    Guard("errors without folders", ESCAPE, "if len(path.parts) > 1:", "if False:",
          "test_escape.py::test_only_whole_paths_are_taken_out"),
    Guard("errors for programs without folders", API, 'without_folder(str(error), library.path, "of this server")',
          "str(error)", "page/test_api.py::test_an_encoder_that_cannot_be_had_is_one_line"),
    Guard("errors of the history without its path", "qa/page/history_routes.py", '({"error": _UNUSABLE}, 503)',
          '({"error": str(error)}, 503)',
          "page/test_history_http.py::test_a_damaged_file_is_one_line_without_the_servers_paths"),
    Guard("health without its error", SERVER, '"A library cannot be read."', "str(error)",
          "page/test_operators.py::test_health_says_when_a_library_cannot_be_read"),
    Guard("markup in what is copied", "qa/as_text.py", r"[\\`*_\[\]<>~$&@]", "[`]",
          "page/test_chat.py::test_no_words_of_a_document_become_markup"),
    # Logging in
    Guard("where logging in leads", LOGIN, 'value if value in door.pages else "/"', 'value or "/"',
          "page/test_operators.py::test_a_hostile_form_is_shown_as_text"),
    Guard("long forms", LOGIN, 'if int(request.headers["content-length"]) > LONGEST_FORM:', "if False:",
          "page/test_operators.py::test_a_hostile_form_is_shown_as_text"),
    Guard("what was typed is text", LOGIN, "escape(user[:64])", "user",
          "page/test_operators.py::test_a_hostile_form_is_shown_as_text"),
    Guard("the session's cookie is not for scripts", LOGIN, "HttpOnly; SameSite=Strict{safe}", "SameSite=Strict{safe}",
          "page/test_operators.py::test_a_page_leads_to_the_login_and_back"),
    Guard("the session's cookie is not for other sites", LOGIN, "HttpOnly; SameSite=Strict{safe}", "HttpOnly{safe}",
          "page/test_operators.py::test_a_page_leads_to_the_login_and_back"),
    Guard("the session's cookie keeps to HTTPS", LOGIN, "SameSite=Strict{safe}", "SameSite=Strict",
          "page/test_operators.py::test_the_cookie_is_for_https_where_that_is_spoken"),
    Guard("a session's time", LOGIN, "session.until < self.clock() or ", "",
          "page/test_operators.py::test_a_session_lasts_its_time"),
    Guard("a session's proof", LOGIN, " or str(self.users.now().get(session.user)) != session.proof", "",
          "page/test_operators.py::test_sessions_end_with_password_user_time_and_server"),
    Guard("the proof that was checked", LOGIN, "Session(user, str(proof),",
          "Session(user, str(self.users.now().get(user)),",
          "page/test_operators.py::test_who_changes_while_logging_in_has_no_session"),
    Guard("logging out", LOGIN, "self.sessions.pop(_key(token), None)", "pass",
          "page/test_operators.py::test_logging_out_ends_the_session_wherever_its_cookie_is"),
    Guard("guesses of one address", LOGIN, '(("address", network(address)), TRIES, 1 / TRY_SECONDS),', "",
          "page/test_operators.py::test_guessing_is_slowed_down"),
    Guard("guesses of one name", LOGIN, '(("name", user[:64]), NAME_TRIES, 1 / NAME_SECONDS),', "",
          "page/test_operators.py::test_guessing_one_name_from_many_addresses_is_slowed_down"),
    Guard("guesses that come together", LOGIN,
          "            self._wrong.take(*limit)\n        async with self._checking:\n",
          "            pass\n        async with self._checking:\n            for limit in limits:\n"
          "                self._wrong.take(*limit)\n",
          "page/test_operators.py::test_guesses_that_come_together_are_counted"),
    Guard("names that do not exist take as long", LOGIN,
          "await asyncio.to_thread(hashed.fits, password) and kept is not None",
          "kept is not None and await asyncio.to_thread(hashed.fits, password)",
          "page/test_operators.py::test_a_name_that_does_not_exist_takes_the_same_work"),
    Guard("long passwords", LOGIN, "len(password) <= LONGEST and ", "",
          "page/test_operators.py::test_a_name_that_does_not_exist_takes_the_same_work"),
    # How much one may ask
    Guard("rate", GUARD, "limits.wait(path, scope[OWNER], address) if limits else 0", "0",
          "page/test_operators.py::test_questions_are_limited"),
    Guard("rate of a call's questions", GUARD, "scope[CHARGE] = partial(limits.charge, scope[OWNER], address)", "pass",
          "page/test_operators.py::test_each_question_of_a_call_counts"),
    Guard("rate of an address", LIMITS, "rate * NEIGHBOURS if owner else rate", "math.inf if owner else rate",
          "page/test_operators.py::test_questions_are_limited"),
    Guard("rate of other requests", LIMITS, "(1 if question else REST)", "(1 if question else 10**6)",
          "page/test_operators.py::test_other_requests_are_limited_as_well"),
    Guard("rate of a server for others", SERVER, "return PER_MINUTE if shared else 0", "return 0",
          "page/test_operators.py::test_who_serves_only_this_machine_has_no_limit"),
    Guard("one may have many addresses", LIMITS, 'str(ip_network(f"{found}/64", strict=False))', "str(found)",
          "page/test_operators.py::test_one_may_have_many_addresses_of_ipv6"),
    Guard("addresses of IPv4 in those of IPv6", LIMITS, "found.ipv4_mapped or found", "found",
          "page/test_operators.py::test_one_may_have_many_addresses_of_ipv6"),
    Guard("buckets that are kept", LIMITS, "while len(self._held) > self.most:", "while False:",
          "page/test_operators.py::test_buckets_fill_again_and_are_bounded"),
    Guard("threads for removals", DOCUMENTS, "in_thread(remove, changing)", "in_thread(remove)",
          "page/test_documents_http.py::test_changes_that_wait_leave_the_page_its_threads"),
    Guard("threads for new names", DOCUMENTS, "run_sync(work, limiter=changing)", "run_sync(work)",
          "page/test_documents_http.py::test_changes_that_wait_leave_the_page_its_threads"),
    Guard("threads for pictures", DOWNLOADS, "run_sync(work, request, limiter=limiter)", "run_sync(work, request)",
          "test_pictures.py::test_pictures_that_wait_leave_the_page_its_threads"),
    Guard("room on the disk", DOCUMENTS, "uploads.room = lambda more: enough_room(site, more)", "pass",
          "page/test_documents_http.py::test_an_upload_that_the_library_has_no_room_for"),
    Guard("uploads that trickle", DOCUMENTS, "began + GRACE_SECONDS + length / LEAST_RATE", "clock() + 1e9",
          "page/test_documents_http.py::test_an_upload_that_trickles_ends"),
    Guard("uploads of one visitor", DOCUMENTS, "asyncio.Semaphore(UPLOADS_OF_ONE)", "asyncio.Semaphore(10**6)",
          "page/test_documents_http.py::test_one_visitors_slow_uploads_do_not_keep_out_another"),
    Guard("uploads from one address", DOCUMENTS, "asyncio.Semaphore(UPLOADS_FROM_ONE)", "asyncio.Semaphore(10**6)",
          "page/test_documents_http.py::test_slow_uploads_from_one_address_do_not_keep_out_another"),
    Guard("files of one name in an archive", UPLOADS, "if parts in taken:", "if False:",
          "test_uploads.py::test_one_file_of_a_name_is_taken_and_not_all_others_are_named"),
    Guard("files of one job", "qa/ingest.py", "elif not resumed and len(job.files) + len(files) > MOST_WAITING:",
          "elif False:", "test_uploads.py::test_jobs_do_not_grow_without_end"),
    Guard("replacing: one's own jobs", DOCUMENTS, 'found_job(request.path_params["job"], owner_of(request.scope))',
          'found_job(request.path_params["job"])', "page/test_documents_http.py::test_who_may_replace_and_what"),
    Guard("replacing: what has changed since", UPLOADS,
          "if there is None or (there.document_id, there.indexed_at) != (older.document_id, older.indexed_at):",
          "if False:", "test_uploads.py::test_what_has_changed_since_it_was_told_is_not_replaced"),
    # What a server bears
    *(
        Guard(f"globs: {what}", FILTERS, text, without, "test_bounds.py::test_globs_are_bounded")
        for what, text, without in (
            ("how many", "if len(patterns) > MOST_PATTERNS:", "if False:"),
            ("wildcards", "if wildcards > MOST_WILDCARDS:", "if False:"),
            ("length", "if len(glob) > LONGEST_PATTERN:", "if False:"),
            ("stars in a row", '_STARS.sub("*", glob) for', "glob for"),
        )
    ),
    Guard("globs: names and folders are looked up", FILTERS, 'head != glob and not head.endswith("/")', "head != glob",
          "test_bounds.py::test_any_number_of_names_and_folders_is_looked_up"),
    Guard("equal sentences are compared once", SEGMENT, "if len(held) <= _FEW:", "if True:",
          "test_bounds.py::test_equal_sentences_are_compared_once"),
    Guard("a library in another's place", STORE, "if self._file is not None and self._file != _identity(self.path):",
          "if False:", "test_bounds.py::test_a_library_that_is_replaced_or_removed_is_noticed"),
    Guard("connections without a request", SERVER, "if self.conn.their_state is h11.IDLE:", "if False:",
          "page/test_bounds_http.py::test_connections_that_bring_no_request_are_closed"),
    Guard("requests that are worked on", SERVER, "if self.conn.their_state is h11.IDLE:", "if True:",
          "page/test_bounds_http.py::test_answers_may_take_longer"),
    Guard("the end though a thread works", SERVER, "threading.Thread(target=_leave_in_time, daemon=True).start()",
          "pass", "page/test_bounds_http.py::test_a_thread_that_works_on_does_not_keep_the_server"),
    Guard("open files", SERVER, "    allow_connections()\n", "",
          "page/test_bounds_http.py::test_a_thread_that_works_on_does_not_keep_the_server"),
    # Settings
    Guard("root paths", SERVER, 'if not _ROOT.fullmatch(root) or {".", ".."} & set(root.split("/")):', "if False:",
          "page/test_operators.py::test_settings_that_make_no_sense"),
    Guard("names of trusted hosts", SERVER, 'if not re.fullmatch(r"[A-Za-z0-9.-]+|[0-9a-fA-F:]+", host):', "if False:",
          "page/test_operators.py::test_settings_that_make_no_sense"),
    Guard("names of libraries", SERVER, "if not NAME.fullmatch(name):", "if False:",
          "page/test_operators.py::test_names_that_cannot_be"),
    Guard("names that the server has itself", SERVER, "if name in _TAKEN or ", "if ",
          "page/test_operators.py::test_names_that_cannot_be"),
    # The log
    Guard("questions are not in the log", WATCH, "question if self.log.text else None", "question",
          "page/test_operators.py::test_logs_have_no_text_unless_asked_for"),
    Guard("queries are not in the log", WATCH, 'if self.watch.log.text and scope["query_string"]',
          'if scope["query_string"]', "page/test_operators.py::test_logs_have_no_text_unless_asked_for"),
    Guard("paths are not in the log", WATCH, "route = self.template(path)", "route = path",
          "page/test_operators.py::test_logs_have_no_text_unless_asked_for"),
    Guard("visitors' numbers are not in the log", WATCH, "visitor_hash(owner) if owner", "owner if owner",
          "page/test_operators.py::test_visitors_stand_in_logs_without_their_numbers"),
    Guard("a log that cannot be written", LOG, "except (OSError, ValueError) as error:",
          "except ZeroDivisionError as error:",
          "page/test_operators.py::test_a_log_that_cannot_be_written_stops_nothing"),
    # Conversations
    *(
        Guard(f"the owner of what is {what}", HISTORY, text, without,
              "test_history.py::test_owners_never_see_each_other")
        for what, text, without in (
            ("added to", "if found is not None and found[0] != owner:", "if False:"),
            ("asked again", "'' WHERE conversation = ? AND id = ?", "'' WHERE ? > '' AND id = ?"),
            ("renamed", "named = 1 WHERE id = ? AND owner = ?", "named = 1 WHERE id = ? AND ? > ''"),
            ("deleted", "DELETE FROM conversations WHERE id = ? AND owner = ?",
             "DELETE FROM conversations WHERE id = ? AND ? > ''"),
            ("deleted all together", '"DELETE FROM conversations WHERE owner = ?"',
             "\"DELETE FROM conversations WHERE ? > ''\""),
            ("rated", '"AND conversation IN (SELECT id FROM conversations WHERE owner = ?)"\n        )\n        values',
             "\"AND conversation IN (SELECT id FROM conversations WHERE ? > '')\"\n        )\n        values"),
            ("listed", "WHERE owner = :owner AND (", "WHERE :owner > '' AND ("),
            ("read", "updated FROM conversations WHERE id = ? AND owner = ?",
             "updated FROM conversations WHERE id = ? AND ? > ''"),
            ("found", '"AND conversation IN (SELECT id FROM conversations WHERE owner = ?)",\n            (',
             "\"AND conversation IN (SELECT id FROM conversations WHERE ? > '')\",\n            ("),
            ("given out as feedback", "(SELECT id FROM conversations WHERE owner = :owner)) ORDER",
             "(SELECT id FROM conversations)) ORDER"),
        )
    ),
    Guard("conversations are for who runs the server", HISTORY, "os.O_WRONLY, 0o600", "os.O_WRONLY, 0o644",
          "test_history.py::test_only_its_owner_reads_the_file"),
    Guard("words that are searched", HISTORY, ".casefold()[:LONGEST_SEARCHED]", ".casefold()",
          "test_history.py::test_a_search_folds_nothing_but_what_is_looked_for"),
    Guard("answers that wait for the disk", HISTORY, "keeping.result(KEEPING_SECONDS)", "keeping.result()",
          "test_history.py::test_an_answer_does_not_wait_long_for_the_disk"),
    Guard("how many answers wait for the disk", HISTORY, "if not self._room.acquire(blocking=False):", "if False:",
          "test_history.py::test_answers_that_wait_are_bounded"),
    Guard("deleted words in the log", HISTORY, "if deletes or (free and", "if (free and",
          "test_history.py::test_deleted_words_are_gone_soon_while_it_is_open"),
    Guard("the owner of a job", DOCUMENTS, "if job is None or (owner is not None and job.owner != owner):",
          "if job is None:",
          "page/test_documents_http.py::test_a_visitors_jobs_are_listed_for_them_alone"),
    Guard("names of question sets", "qa/page/evaluations.py", "_UNSAFE.sub('-', PurePath(name).stem)",
          "PurePath(name).stem", "page/test_evaluation_http.py::test_names_are_only_names"),
    Guard("kinds of question sets", "qa/page/evaluations.py", "if suffix not in SUFFIXES:", "if False:",
          "page/test_evaluation_http.py::test_other_names_are_refused"),
    # Files
    Guard("the switch of originals", DOWNLOADS, "if not site.settings.originals:", "if False:",
          "test_pictures.py::test_originals_are_given_out_only_where_allowed"),
    Guard("an original's hash", ORIGINALS,
          "if document_id in (public_id(content_key(row.kind, version, digest)) for version in _VERSIONS):",
          "if True:", "test_pictures.py::test_files_that_are_not_what_was_indexed"),
    Guard("originals that are no files", ORIGINALS, "if not stat.S_ISREG(os.fstat(number).st_mode):", "if False:",
          "test_pictures.py::test_files_that_are_not_what_was_indexed"),
    Guard("originals are no pages", DOWNLOADS, 'media_type="application/octet-stream"', 'media_type="text/html"',
          "test_pictures.py::test_an_original_is_the_very_file"),
    Guard("an original's name", DOWNLOADS, """re.sub(r'[^ -~]|["%\\\\]', "_", name)""", "name",
          "test_pictures.py::test_an_odd_name_is_told_safely"),
    Guard("a picture's hash", PICTURES, "if hashlib.sha256(content).hexdigest() != wanted.digest:", "if False:",
          "test_pictures.py::test_a_file_that_changes_at_the_last_moment_is_not_drawn"),
    Guard("a picture's width", PICTURES, "if not NARROWEST <= width <= WIDEST:", "if False:",
          "test_pictures.py::test_widths_that_are_none"),
    Guard("a picture's width as a number", DOWNLOADS,
          "if said is not None and not (said.isascii() and said.isdigit() and len(said) < 6):", "if False:",
          "test_pictures.py::test_widths_that_are_none"),
    Guard("a picture's page", PICTURES, "if not 1 <= page <= pages:", "if False:",
          "test_pictures.py::test_other_pages"),
    Guard("a picture's height", PICTURES, "min(width / wide, MOST_HEIGHT / high)", "width / wide",
          "test_pictures.py::test_a_page_like_a_ribbon_stays_small"),
    Guard("a picture's memory", PICTURES, "    child.limit_memory(memory)\n", "",
          "test_pictures.py::test_what_costs_too_much_is_given_up"),
    Guard("a picture's processor time", PICTURES, "    child.limit_cpu(cpu_seconds)\n", "",
          "test_pictures.py::test_what_costs_too_much_is_given_up"),
    Guard("a picture's time", PICTURES, "    clock.start()\n", "",
          "test_pictures.py::test_what_costs_too_much_is_given_up"),
    Guard("pictures that are kept", PICTURES, "while sum(map(_size, self._kept.values())) > KEPT:", "while False:",
          "test_pictures.py::test_the_oldest_pictures_are_dropped"),
    Guard("children import nothing from beside the documents", CHILD, '"-P", ', "",
          "test_reading_limits.py::test_modules_beside_the_documents_are_not_imported"),
    # Archives and names
    *(
        Guard(f"archives: {what}", UNPACK, text, without, f"test_uploads.py::test_{test}")
        for what, text, without, test in (
            ("entries", "if _entries(file) > _MOST_ENTRIES:", "if False:",
             "an_archive_of_very_many_files_is_not_opened"),
            ("members", "if len(infos) > MOST_MEMBERS:", "if False:", "an_archive_of_very_many_files_is_not_opened"),
            ("folders", "if len(folders) > MOST_MEMBERS:", "if False:", "deep_folders_and_long_paths_are_left_out"),
            ("depth", "if len(member.parts) > _MOST_PARTS:", "if False:", "deep_folders_and_long_paths_are_left_out"),
            ("long paths", "if len(info.filename) > _LONGEST_PATH:", "if False:",
             "deep_folders_and_long_paths_are_left_out"),
            ("size", "if total > LARGEST_UNPACKED:", "if False:", "a_bomb_is_not_unpacked"),
            ("ratio", "if total > max(_HARMLESS, LARGEST_RATIO * size):", "if False:", "a_bomb_is_not_unpacked"),
            ("large members", "if info.file_size > largest:", "if False:", "a_bomb_is_not_unpacked"),
            ("sizes that are not true", "if left or file.read(1):", "if False:",
             "an_archive_that_lies_about_a_size_gives_no_more_than_it_said"),
            ("absolute paths", 'path.startswith("/") or ', "", "a_path_that_leads_out_refuses_the_archive"),
            ("drives", "_DRIVE.match(path) or ", "", "a_path_that_leads_out_refuses_the_archive"),
            ("paths that lead up", ' or ".." in parts:', ":", "a_path_that_leads_out_refuses_the_archive"),
            ("backslashes", 'name.replace("\\\\", "/")', "name", "a_path_that_leads_out_refuses_the_archive"),
            ("links", "if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):", "if False:",
             "links_are_not_made"),
            ("hidden files", 'if any(part.startswith(".") or part == "__MACOSX" for part in member.parts):',
             "if False:", "a_zip_keeps_its_folders_and_says_what_is_left_out"),
            ("archives in them", "if suffix in _ARCHIVES:", "if False:",
             "a_zip_keeps_its_folders_and_says_what_is_left_out"),
            ("other kinds", "if kind_of(Path(member.parts[-1])) is None:", "if False:",
             "a_zip_keeps_its_folders_and_says_what_is_left_out"),
            ("encryption", "if info.flag_bits & 1:", "if False:", "encrypted_and_oddly_compressed_members_are_skipped"),
            ("odd compression", "if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):", "if False:",
             "encrypted_and_oddly_compressed_members_are_skipped"),
        )
    ),
    *(
        Guard(f"names: {what}", UPLOADS, text, without, f"test_uploads.py::test_{test}")
        for what, text, without, test in (
            ("folders in them", '.rpartition("/")[2]\n', "\n", "safe_names"),
            ("backslashes", '.replace("\\\\", "/")', "", "safe_names"),
            ("what nobody sees", '"_" if _is_unseen(character) else character', "character", "safe_names"),
            ("what some disks do not take", '_RESERVED.sub("_", shown)', "shown", "safe_names"),
            ("dots around them", '.strip(" .")\n    stem', "\n    stem", "safe_names"),
            ("devices", 'f"_{clean}" if _DEVICES.match(clean) else clean', "clean", "safe_names"),
            ("length", "while len(stem.encode()) + len(suffix.encode()) > _LONGEST_NAME and stem:", "while False:",
             "safe_names"),
            ("suffixes", "if len(suffix) > 20 or not stem:", "if not stem:", "a_suffix_that_is_too_long"),
            ("nothing left", 'if not stem.strip(" ."):', "if False:", "names_that_are_none"),
        )
    ),
    Guard("kinds that are not read", UPLOADS, "                check_kind(safe)\n", "",
          "test_uploads.py::test_other_kinds_are_refused_and_leave_nothing"),
    Guard("a disk that is nearly full", UPLOADS, "if size + KEPT_FREE > free:", "if False:",
          "test_uploads.py::test_no_room"),
    Guard("files of that name", UPLOADS, "while os.path.lexists(path):", "while False:",
          "test_uploads.py::test_a_taken_name_gets_a_number_unless_the_bytes_are_the_same"),
    Guard("only uploads are deleted", UPLOADS, "[info for info in infos if self.holds(info)]", "list(infos)",
          "test_uploads.py::test_removing"),
    Guard("only uploads are renamed", UPLOADS, "if not self.holds(info):", "if False:",
          "test_uploads.py::test_what_cannot_be_renamed"),
    Guard("only uploads are resumed", UPLOADS, "and path.resolve().is_relative_to(self.folder) ", "",
          "test_uploads.py::test_what_waited_when_a_server_ended_is_indexed_by_the_next"),
)
# fmt: on


def copied(folder: Path) -> None:
    """Copy the files of the checkout, as they are now."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def failures(folder: Path, tests: Sequence[str], *, first: bool = True) -> tuple[bool, list[str]]:
    """Run tests of a copied tree: whether all of them passed, and the names of those that failed, or of the first."""
    line = [sys.executable, "-m", "pytest", "-q", "-rf", "-p", "no:cacheprovider", *(["-x"] if first else []), *tests]
    try:
        done = subprocess.run(line, cwd=folder, env=_here(folder), capture_output=True, text=True, timeout=SLOWEST)
    except subprocess.TimeoutExpired:
        return False, []
    return done.returncode == 0, re.findall(r"^FAILED (.+?)(?: - .*)?$", done.stdout, re.MULTILINE)


def imported(folder: Path) -> bool:
    """Is what tests import in a copied tree the tree's own?"""
    code = "import app, embeddings, qa.page; print(app.__file__, embeddings.__file__, qa.page.__file__, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=_here(folder), capture_output=True, text=True)
    files = done.stdout.splitlines()
    return len(files) == 3 and all(Path(file).resolve().is_relative_to(folder.resolve()) for file in files)


def result(guard: Guard, folder: Path) -> str:
    """What becomes of a copied tree's tests without one guard: "held by TEST", or "NOT HELD: …". It is put back."""
    path = folder / guard.file
    whole = path.read_text(encoding="utf-8")
    if (times := whole.count(guard.text)) != 1:
        return f"NOT HELD: it stands in {guard.file} {times} times, not once"
    path.write_text(whole.replace(guard.text, guard.without), encoding="utf-8")
    try:
        passed, failed = failures(folder, guard.nodes)
    finally:
        path.write_text(whole, encoding="utf-8")
    if failed:
        return f"held by {failed[0]}"
    return f"NOT HELD: {guard.tests} {'pass without it' if passed else 'could not be run to their end'}"


def _here(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(folder)}


def main() -> int:
    """Show it; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", default=[""], nargs="+", metavar="WORDS", help="only guards with such words in their name"
    )
    only = parser.parse_args().only
    guards = [guard for guard in GUARDS if any(words in guard.name for words in only)]
    if not guards:
        parser.error(f"no guard has {' or '.join(only)!r} in its name: see GUARDS in {__file__}")
    lost = 0
    with tempfile.TemporaryDirectory(prefix="refdesk-guards-") as made:
        folder = Path(made)
        copied(folder)
        if not imported(folder):
            raise SystemExit(f"tests in {folder} would not import its own modules: nothing was shown")
        passed, failed = failures(folder, sorted({node for guard in guards for node in guard.nodes}), first=False)
        if not passed:
            raise SystemExit(f"with all guards, these tests fail already: {' '.join(failed) or 'they cannot be run'}")
        for guard in guards:
            told = result(guard, folder)
            lost += told.startswith("NOT HELD")
            print(f"{guard.name}: {told}", flush=True)
    print(f"{len(guards) - lost} of {len(guards)} guards are held by a test")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
