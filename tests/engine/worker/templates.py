"""Chat templates of the kinds that there are, in words of our own."""

from __future__ import annotations

from typing import Final

#: What all begin and end with.
_TURN: Final = "[{{ m.role }}]{{ m.content }}[end]"
_ASKED: Final = "{% if add_generation_prompt %}[assistant]{% endif %}"
_EACH: Final = "{% for m in messages %}" + _TURN + "{% endfor %}" + _ASKED

_ALTERNATE: Final = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 is even) %}"
    "{{ raise_exception('roles must take turns') }}{% endif %}" + _TURN + "{% endfor %}" + _ASKED
)

#: They take whatever they are given.
EASY: Final = {
    "plain": _EACH,
    "shouting": _EACH.replace("m.content", "m.content | upper"),
    "trimming": _EACH.replace("m.content", "m.content | trim"),
    "quoting": _EACH.replace("m.content", "m.content | tojson"),
}

#: Each refuses some conversations, or leaves out a part of them.
PICKY: Final = {
    "parts": _EACH.replace(
        "{{ m.content }}",
        "{% for part in m.content %}{% if part.type == 'text' %}{{ part.text }}{% endif %}"
        "{% endfor %}",
    ),
    "parts from the second turn on": _EACH.replace(
        "{{ m.content }}",
        "{% if loop.first %}{{ m.content if m.content is string else m.content[0].text }}"
        "{% else %}{{ m.content[0]['text'] }}{% endif %}",
    ),
    "refuses system": "{% if messages[0].role == 'system' %}"
    "{{ raise_exception('no system messages') }}{% endif %}" + _ALTERNATE,
    "loses system": "{% for m in messages %}{% if m.role != 'system' %}"
    + _TURN
    + "{% endif %}{% endfor %}"
    + _ASKED,
    "first system": "{% if messages[0].role == 'system' %}[system]{{ messages[0].content }}[end]"
    "{% endif %}{% for m in messages %}{% if m.role != 'system' %}"
    + _TURN
    + "{% endif %}{% endfor %}"
    + _ASKED,
    "last system": "{% set ns = namespace(system='') %}{% for m in messages %}"
    "{% if m.role == 'system' %}{% set ns.system = m.content %}{% endif %}{% endfor %}"
    "{{ ns.system }}{% for m in messages %}{% if m.role != 'system' %}"
    + _TURN
    + "{% endif %}{% endfor %}"
    + _ASKED,
    "refuses late system": "{% for m in messages %}{% if m.role == 'system' and not loop.first %}"
    "{{ raise_exception('system comes first') }}{% endif %}" + _TURN + "{% endfor %}" + _ASKED,
    "takes turns": "{% set rest = messages[1:] if messages[0].role == 'system' else messages %}"
    "{% if messages[0].role == 'system' %}[system]{{ messages[0].content }}[end]{% endif %}"
    + _ALTERNATE.replace("in messages %}", "in rest %}", 1),
    "refuses empty": "{% for m in messages %}{% if not m.content %}"
    "{{ raise_exception('say something') }}{% endif %}" + _TURN + "{% endfor %}" + _ASKED,
    "refuses empty answers, takes turns": "{% for m in messages %}"
    "{% if m.role == 'assistant' and not m.content %}"
    "{{ raise_exception('say something') }}{% endif %}{% endfor %}" + _ALTERNATE,
    "iterates tools": "{% for tool in tools %}{{ tool }}{% endfor %}" + _EACH,
    "joins tools": "{{ ('tools: ' ~ (tools | length)) }}" + _EACH,
    "reads tools' names": "{{ tools.names }}" + _EACH,
}

#: Each has the day in the prompt.
DATED: Final = {
    # As Llama 3.2's: in what every prompt begins with.
    "always": "[system]Today Date: {{ strftime_now('%d %b %Y') }}\n\n"
    "{% if messages[0].role == 'system' %}{{ messages[0].content }}{% endif %}[end]"
    "{% for m in messages %}{% if m.role != 'system' %}"
    + _TURN
    + "{% endif %}{% endfor %}"
    + _ASKED,
    # As SmolLM3's: with much more, and without a system message of the client's too.
    "with a default": "[system]## Metadata\n\nKnowledge Cutoff Date: June 2025\n"
    "Today Date: {{ strftime_now('%d %B %Y') }}\n\n## Custom Instructions\n\n"
    "{% if messages[0].role == 'system' %}{{ messages[0].content }}"
    "{% else %}You are a helpful assistant of a household, and think before you say something."
    "{% endif %}[end]"
    "{% for m in messages %}{% if m.role != 'system' %}"
    + _TURN
    + "{% endif %}{% endfor %}"
    + _ASKED,
    # As Granite's: only if nobody else says how to be.
    "without a system message": "{% if messages[0].role != 'system' %}"
    "[system]Today is {{ strftime_now('%Y-%m-%d') }}.[end]{% endif %}" + _EACH,
    # As Llama 3.1's.
    "by name": "[system]{{ date_string if date_string is defined else '26 Jul 2024' }}[end]"
    + _EACH,
}

#: No conversation can be had with them.
HOPELESS: Final = {
    "nothing of a question": "[user][assistant]",
    "raises": "{{ raise_exception('not for chats') }}",
    "undefined": "{{ functions.listing + 'x' }}" + _EACH,
}
