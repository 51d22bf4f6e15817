"""An answer from its first token to its end, whichever that is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.async_api import expect

from tests.live.gateway import Gateway, WatchedSimulator
from tests.pages.browser import BROWSER, Watched
from tests.pages.chat_page import FAST, ChatPage, is_ready, ready

pytestmark = BROWSER

RICH = """# A heading

Some *words* with `code`, snake_case_names and array[0].

- one
- two

```python
def f(x):
    return x + 1  # more
```

| a | b |
| --- | --- |
| 1 | 2 |
"""

WATCH_BODY = """() => {
  window.lost = [];
  window.added = 0;
  const body = [...document.querySelectorAll(".message.assistant .body")].at(-1);
  new MutationObserver((records) => {
    for (const { type, target, removedNodes, addedNodes, oldValue } of records) {
      for (const node of removedNodes) window.lost.push(`removed ${node.nodeName}: ${node.textContent}`);
      if (type === "characterData" && !target.data.startsWith(oldValue)) window.lost.push(`changed: ${oldValue}`);
      window.added += addedNodes.length + (type === "characterData" ? 1 : 0);
    }
  }).observe(body, { subtree: true, childList: true, characterData: true, characterDataOldValue: true });
}"""


async def test_the_first_suggestion_streams_without_a_key_or_a_network(chat: ChatPage) -> None:
    await chat.page.locator(".suggestion").first.click()
    await chat.streaming()
    answer = await chat.answered()
    await expect(answer.locator("table")).to_be_visible()
    await expect(answer.locator(".code-language")).to_have_text("python")
    await expect(answer.get_by_text("simulated")).to_be_visible()
    await expect(chat.page).to_have_title("Three rivers · Thalweg")


async def test_an_answer_only_grows(chat: ChatPage) -> None:
    # It begins late enough for somebody to be there who watches.
    await chat.ask(RICH, model="sim/text?ttft=2&pace=300")
    await expect(chat.answers).to_have_count(1)
    await chat.evaluate(WATCH_BODY)
    await chat.answered()
    # The colours come after the end, and they touch nothing either.
    await chat.page.wait_for_function("() => [...CSS.highlights.values()].some((each) => each.size > 0)")
    assert await chat.evaluate("() => window.added") > 20
    assert await chat.evaluate("() => window.lost") == []
    assert "snake_case_names and array[0]" in await chat.body.inner_text()


async def test_text_can_be_selected_while_it_streams(chat: ChatPage) -> None:
    await chat.ask("a river runs", model="sim/slow?pace=40")
    await chat.streaming()
    await expect(chat.body.locator("p").first).to_contain_text("river")
    await chat.evaluate(
        """() => {
          const text = document.querySelector(".message.assistant .body p").firstChild;
          getSelection().setBaseAndExtent(text, 0, text, 5);
        }"""
    )
    before = await chat.evaluate("() => String(getSelection())")
    length = len(await chat.body.inner_text())
    await chat.page.wait_for_function(
        "(length) => [...document.querySelectorAll('.body')].at(-1).innerText.length > length + 40", arg=length
    )
    assert await chat.evaluate("() => String(getSelection())") == before != ""
    await chat.page.keyboard.press("Escape")
    await chat.answered("stopped")


async def test_the_states_of_an_answer_are_told_apart(chat: ChatPage) -> None:
    await chat.ask("hi", model="sim/slow?ttft=3&pace=20")
    await expect(chat.answer).to_have_attribute("data-state", "waiting")
    await expect(chat.answer.locator(".progress")).to_contain_text("Waiting for the first token")
    await expect(chat.answer.locator(".body")).to_have_attribute("aria-busy", "true")
    await chat.streaming()
    await expect(chat.page.locator(".live")).to_contain_text("Streaming")
    await chat.button("Stop").click()
    await chat.answered("stopped")
    await expect(chat.answer.locator(".body")).to_have_attribute("aria-busy", "false")
    await expect(chat.page.locator(".live")).to_be_hidden()


async def test_stop_closes_the_upstream_and_says_so(
    visits: Callable[..., Any], start_gateway: Callable[..., Gateway], watched_simulator: WatchedSimulator
) -> None:
    gateway = start_gateway(key=None, environment=watched_simulator.environment())
    chat = await ready(await visits(gateway.url))
    await chat.ask("one two three", model="openai/slow?pace=20")
    await chat.streaming()
    await chat.page.keyboard.press("Escape")
    watched_simulator.until_seen(1)
    answer = await chat.answered("stopped")
    await expect(answer.locator(".notice")).to_contain_text("upstream closed in")
    await expect(answer.locator(".notice")).to_contain_text("(estimated)")
    await expect(chat.button("Continue", answer)).to_be_visible()
    assert len(gateway.settled(1)) == 1


async def test_stopping_before_there_is_anything_hangs_up(chat: ChatPage, gateway: Gateway) -> None:
    before = len(gateway.entries())
    await chat.ask("hi", model="sim/text?ttft=60")
    await expect(chat.answer).to_have_attribute("data-state", "waiting")
    await chat.button("Stop").click()
    answer = await chat.answered("stopped")
    await expect(answer.locator(".notice")).to_contain_text("Stopped")
    gateway.settled_since(before)


async def test_an_answer_that_breaks_stays_and_goes_on(chat: ChatPage) -> None:
    await chat.ask("Tell me of the sea", model="sim/error-midstream")
    answer = await chat.answered("cut")
    came = await chat.body.inner_text()
    assert came
    await expect(answer.get_by_text("The answer broke off here")).to_be_visible()
    await expect(answer.locator(".notice-ids")).to_contain_text("Stream:")
    await chat.choose(FAST)
    await chat.button("Continue", answer).click()
    await chat.answered(count=2)
    await expect(chat.questions).to_have_count(2)
    assert await chat.answers.first.locator(".body").inner_text() == came


async def test_a_connection_that_is_reset_is_no_end(
    visits: Callable[..., Any], start_gateway: Callable[..., Gateway]
) -> None:
    gateway = start_gateway(key=None)
    visit: Watched = await visits(gateway.url)
    visit.allow("ERR_|Failed to load resource")
    chat = await ready(visit)
    await chat.ask("one two three", model="sim/slow?pace=30")
    await chat.streaming()
    gateway.kill()
    answer = await chat.answered("cut")
    await expect(answer.locator(".notice")).to_contain_text("The connection ended before the answer did.")
    await chat.ask("are you there?")
    answer = await chat.answered("failed", count=2)
    await expect(answer.locator(".notice")).to_contain_text("The gateway does not answer.")
    await expect(chat.page.locator(".banner")).to_be_visible()


async def test_a_refusal_says_what_to_do_and_can_be_tried_again(chat: ChatPage) -> None:
    chat.visit.allow("status of 404")
    await chat.ask("hi", model="nobody/nothing")
    answer = await chat.answered("failed")
    notice = answer.locator(".notice")
    await expect(notice).to_contain_text("There is no such model here.")
    await expect(notice).to_contain_text("'nobody/nothing' is not known here")
    await expect(notice).to_contain_text("404 model_not_found")
    await expect(notice).to_contain_text("Request:")
    await chat.choose(FAST)
    await chat.button("Try again", answer).click()
    await chat.answered(count=1)


async def test_after_a_reload_what_had_come_stays(chat: ChatPage) -> None:
    await chat.ask("one two three four", model="sim/slow?pace=60")
    await expect(chat.body).to_contain_text("three four")
    # Saved at most every half second: what stands there now is on disk when the page has grown on.
    length = len(await chat.body.inner_text())
    await chat.page.wait_for_function(
        "(length) => [...document.querySelectorAll('.body')].at(-1).innerText.length > length + 60", arg=length
    )
    await chat.reload()
    answer = await chat.answered("cut")
    await expect(answer.locator(".notice")).to_contain_text("loaded anew")
    assert "one two three four" in await chat.body.inner_text()
    await expect(chat.button("Continue", answer)).to_be_visible()
    await chat.reload()
    await chat.answered("cut")


async def test_thoughts_fold_away_with_a_clock_of_their_own(chat: ChatPage) -> None:
    # Slow enough for its thinking to be seen.
    await chat.ask("how?", model="sim/reasoning?pace=15")
    thoughts = chat.answer.locator(".thoughts")
    await expect(thoughts).to_contain_text("Thinking")
    await chat.answered()
    await expect(thoughts.locator("summary")).to_contain_text("Thought for")
    await expect(thoughts.locator(".thoughts-text")).to_be_hidden()
    await thoughts.locator("summary").click()
    await expect(thoughts.locator(".thoughts-text")).to_contain_text("what was asked")
    assert "what was asked" not in await chat.body.inner_text()


async def test_the_figures_of_an_answer(chat: ChatPage) -> None:
    # What comes in less than 50 ms, as it may to a page that is busy, has no tokens a second.
    await chat.ask("how long?", model="sim/reasoning?pace=40")
    answer = await chat.answered()
    facts = answer.locator(".facts")
    await expect(facts).to_contain_text("first token")
    await expect(facts).to_contain_text("tokens/s")
    await facts.click()
    details = chat.page.get_by_role("dialog", name="Details")
    for row in ("First token", "Tokens in", "Tokens out", "reasoning)", "reported", "its own end", "Stream"):
        await expect(details).to_contain_text(row)
    await chat.page.keyboard.press("Escape")
    await expect(details).to_have_count(0)
    await expect(facts).to_be_focused()


async def test_the_token_limit_is_told(chat: ChatPage) -> None:
    await chat.button("Parameters").click()
    await chat.page.get_by_label("Most tokens in an answer").fill("3")
    await chat.ask("one two three four five", model=FAST)
    answer = await chat.answered()
    await expect(answer.locator(".notice")).to_contain_text("most tokens")
    await expect(chat.button("Continue", answer)).to_be_visible()


async def test_editing_a_question_grows_a_branch(chat: ChatPage) -> None:
    await chat.ask("first words", model=FAST)
    await chat.answered()
    await chat.hover(chat.questions.first, "Edit")
    field = chat.page.get_by_role("textbox", name="Edit")
    await field.fill("second words")
    await field.press("Enter")
    await expect(chat.questions.first).to_contain_text("second words")
    await chat.answered()
    await expect(chat.body).to_contain_text("second words")
    await expect(chat.questions.first.locator(".branches")).to_contain_text("2/2")
    await chat.button("Version before").click()
    await expect(chat.questions.first).to_contain_text("first words")
    await expect(chat.body).to_contain_text("first words")
    await chat.reload()
    await expect(chat.body).to_contain_text("first words")
    await expect(chat.questions.first.locator(".branches")).to_contain_text("1/2")


async def test_regenerating_keeps_the_old_answer(chat: ChatPage) -> None:
    await chat.ask("again", model=FAST)
    await chat.answered()
    await chat.hover(chat.answer, "Regenerate")
    await expect(chat.answer.locator(".branches")).to_contain_text("2/2")
    await chat.answered(count=1)
    await chat.button("Version before").click()
    await expect(chat.answer.locator(".branches")).to_contain_text("1/2")


async def test_the_arrow_up_edits_the_last_question(chat: ChatPage) -> None:
    await chat.ask("mistyped", model=FAST)
    await chat.answered()
    await chat.text.press("ArrowUp")
    field = chat.page.get_by_role("textbox", name="Edit")
    await expect(field).to_be_focused()
    await expect(field).to_have_value("mistyped")
    await field.press("Escape")
    await expect(field).to_have_count(0)


async def test_deleting_takes_what_follows_and_can_be_undone(chat: ChatPage) -> None:
    await chat.ask("one", model=FAST)
    await chat.answered()
    await chat.ask("two")
    await chat.answered(count=2)
    await chat.hover(chat.answers.first, "Delete")
    await expect(chat.questions).to_have_count(1)
    await expect(chat.answers).to_have_count(0)
    await chat.button("Undo").click()
    await expect(chat.questions).to_have_count(2)
    await expect(chat.answers).to_have_count(2)


async def test_it_follows_the_end_and_lets_go(chat: ChatPage) -> None:
    await chat.ask("flow\n\n" * 30, model="sim/slow?pace=80&chunk=5")
    await chat.streaming()
    scroller = chat.page.locator(".scroller")
    at_end = "(box) => box.scrollHeight - box.scrollTop - box.clientHeight"
    await chat.page.wait_for_function(
        "() => document.querySelector('.scroller').scrollHeight > 2 * document.querySelector('.scroller').clientHeight"
    )
    assert await scroller.evaluate(at_end) < 4
    await scroller.hover()
    await chat.page.mouse.wheel(0, -400)
    await expect(chat.button("Go to the end")).to_be_visible()
    await chat.at_rest()
    top = await scroller.evaluate("(box) => box.scrollTop")
    height = await scroller.evaluate("(box) => box.scrollHeight")
    await chat.page.wait_for_function(
        "(height) => document.querySelector('.scroller').scrollHeight > height + 200", arg=height
    )
    assert await scroller.evaluate("(box) => box.scrollTop") == top
    await chat.button("Go to the end").click()
    await expect(chat.button("Go to the end")).to_be_hidden()
    await chat.page.wait_for_function(
        "() => { const box = document.querySelector('.scroller'); return box.scrollHeight - box.scrollTop - box.clientHeight < 4; }"
    )
    await chat.page.keyboard.press("Escape")
    await chat.answered("stopped")


async def test_a_call_is_a_card_that_can_be_answered(chat: ChatPage) -> None:
    await chat.page.locator(".suggestion").nth(2).click()
    await chat.answered()
    answer = chat.answers.first
    cards = answer.locator(".call")
    await expect(cards).to_have_count(2)
    await expect(cards.first.locator(".call-name")).to_have_text("river_level")
    await expect(cards.first.locator(".call-arguments")).to_contain_text('"river": ')
    await expect(cards.first).to_contain_text("waits for a result")
    await cards.first.get_by_role("textbox").fill("7391 cm")
    await cards.last.get_by_role("textbox").fill("rain")
    await chat.button("Send results", answer).click()
    await chat.answered(count=2)
    await expect(chat.body).to_contain_text("7391 cm")
    await expect(cards.first).to_contain_text("answered")
    await expect(chat.answers.first.get_by_role("textbox")).to_have_count(0)


async def test_parameters_reach_the_gateway_and_curl_shows_them(visits: Callable[..., Any], gateway: Gateway) -> None:
    visit: Watched = await visits(permissions=["clipboard-read", "clipboard-write"])
    chat = await ready(visit)
    await chat.button("Parameters").click()
    await chat.page.get_by_label("Instructions").fill("Be brief.")
    await chat.page.get_by_label("Reasoning effort").select_option("low")
    await chat.page.get_by_role("slider").fill("0.3")
    await chat.page.get_by_label("Two example tools").check()
    async with chat.page.expect_request("**/v1/chat/completions") as waiting:
        await chat.ask("hi", model=FAST)
    body = (await waiting.value).post_data_json
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (body["reasoning_effort"], body["temperature"], len(body["tools"])) == ("low", 0.3, 2)
    answer = await chat.answered()
    await answer.locator(".facts").click()
    await chat.button("Copy as curl").click()
    command = await chat.evaluate("() => navigator.clipboard.readText()")
    assert command.startswith(f"curl -N {gateway.url}/v1/chat/completions")
    assert '"Be brief."' in command


async def test_a_link_prepares_a_conversation_and_sends_nothing(visit: Watched) -> None:
    page = await visit.open("/#model=sim%2Freasoning&prompt=How%20deep%3F&system=Be%20brief.")
    await is_ready(page)
    chat = ChatPage(page, visit)
    await expect(chat.text).to_have_value("How deep?")
    await expect(chat.page.locator(".model-name")).to_have_text("sim/reasoning")
    await expect(chat.answers).to_have_count(0)
    assert "prompt" not in page.url
