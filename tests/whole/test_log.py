"""The log says what an owner needs, and nothing that is anybody's secret."""

from __future__ import annotations

import re
from pathlib import Path

from tests.parts.box import made_box
from tests.parts.phone import chat, connected, knocking
from tests.parts.starter import CAPITAL

#: A word that no part of the program has of itself; the model is made to say it.
SECRET = "Rumpelstiltskin"


async def test_no_prompt_answer_or_token_is_ever_logged(starter_model: Path) -> None:
    """Not even for whoever debugs, whatever goes wrong; each answer is one line of figures."""
    with made_box(starter_model) as box:
        box.start("--debug")
        box.wait_ready()
        code, token = box.pairing_code(), box.pair("Ada")
        removed = box.pair("Eve")
        box.revoke("Eve", removed)
        question = f"Repeat this word: {SECRET}"
        async with connected(box.url, token) as phone:
            answer = await phone.ask(chat(question, max_tokens=20, temperature=0))
            await phone.ask(chat(question, model=SECRET))
            await phone.ask(chat(f"{SECRET} " * 9000))
            await phone.send({"type": "generate", "id": SECRET, "request": {SECRET: SECRET}})
            await phone.until("error")
            await phone.send({"type": SECRET})
            await phone.until("error")
        for wrong in (removed, f"ingle_{SECRET}", SECRET):
            async with knocking(box.url) as stranger:
                await stranger.authenticate(wrong)
            box.http("GET", "/v1/state", token=wrong)
        spoken = {"question": f"I am {SECRET}. {CAPITAL}"}
        box.http("POST", "/v1/inference", token=token, body=spoken)
        box.http("POST", "/v1/inference", token=token, body=SECRET.encode())
        box.http("GET", f"/{SECRET}?token={token}", headers={"Host": SECRET, "Origin": SECRET})
        box.http("POST", "/pair", body={"code": SECRET})
        box.stop()
        said = box.log()

    assert SECRET[:6] in answer.text
    for secret in (SECRET, SECRET.lower(), token, removed, token[-20:], removed[-20:], code):
        assert secret not in said
    lines = re.findall(rf"answer {answer.response_id} .*", said)
    assert len(lines) == 1
    assert re.search(r"tokens=\d+ .*end=(completed|incomplete)$", lines[0])
