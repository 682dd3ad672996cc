"""The conformance suite: what every connector must do, as one class that its test inherits.

    from conformance import Conformance          # in a test module of the connector's package
    from acme_stand import AcmeStand             # a portal to try it against: see conformance.stand.Stand

    class TestAcme(Conformance):
        Stand = AcmeStand

What a connector does not declare is skipped, but for the proof that it raises; what its stand cannot play is skipped
with its reason. `--live ACCOUNT` runs what is safe there against a sandbox account of a real hub.yaml. Every fault is
one of tests/faults.py. The promises, and where each is held:

good, bad and expired credentials          access: good_credentials, bad_credentials_*, *expire*
submit → find; absent → []                 sending: what_was_submitted_is_found, absent_is_an_empty_list
portal down → raises, never "absent"       sending: could_not_ask_is_never_absent
refusal with reasons and raw text          sending: a_refusal_*
duplicate recognised                       sending: a_duplicate_is_recognised, a_repeat_of_the_same_bytes_*
every fault x both kinds of portal         once: every_fault_ends_in_one_invoice_or_one_task, a_search_that_lags_*,
  → one invoice or one task                  doubt_stays_doubt_*, faults_of_many_at_once_*, a_person_*
committed: unknown; refused: no            sending: a_fault_is_told_as_it_is, a_yes_to_the_transmission_*
prepare is deterministic                   preparing: prepared_twice, _in_another_zone, _under_another_locale,
                                             _by_another_process; every_invoice_has_a_key_of_its_own
a resend sends the stored bytes            preparing: a_resend_sends_the_stored_bytes
at most one commit a submit                sending: a_submit_is_at_most_one_request
statuses repeatable, out of order,         hearing: a_poll_*, statuses_told_again_*, events_in_any_order_*,
  duplicated, late, unknown                  a_feed_that_*, a_late_word_*, an_unknown_word_*
intake refusals that come later            hearing: a_refusal_of_the_intake_may_come_later
a reused number                            hearing: a_second_revision_is_never_bound_to_the_first
a cancellation                             hearing: a_cancellation_is_never_settled_by_presence
declared works, undeclared raises          access: every_declared_*, declared_attachments_*, what_is_not_declared_*,
                                             people_are_asked_*, capabilities_come_from_*
all text, 10,000 lines, 0.01 roundings     sending: all_text_*, a_character_*, ten_thousand_lines_*, amounts_*
no canary secret anywhere                  secrecy; sending: could_not_ask_*
a login page in the middle                 sending: a_login_page_in_the_middle_is_no_answer
close twice                                access: a_connector_may_be_closed_twice
kill -9 between commit and record          once: killed_without_warning_*

tests/wrong_connectors holds that a connector that retries, hopes or keeps silent fails here.
"""

from conformance.access import Access
from conformance.hearing import Hearing
from conformance.once import Once
from conformance.options import pytest_addoption, pytest_configure
from conformance.preparing import Preparing
from conformance.secrecy import Secrecy
from conformance.sending import Sending
from conformance.stand import Held, Stand

__all__ = ["Conformance", "Held", "Stand", "pytest_addoption", "pytest_configure"]


class Conformance(Access, Sending, Preparing, Hearing, Once, Secrecy):
    """Everything that a connector must do."""
