#!/usr/bin/env bash
# gguf-new-metadata takes a chat template that begins with a bracket for a JSON list of templates.
#
# GLM-4's begins with "[gMASK]<sop>", Llama 2's and Mistral's may with "[INST]". Seen with gguf 0.19.0
# on x86-64: such a template given by --chat-template ends with the trace of a JSONDecodeError, and no
# file is written; the same by --chat-template-file is taken as it is.
# Exits with 1 if that is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet gguf==0.19.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import gguf

writer = gguf.GGUFWriter("model.gguf", "llama")
writer.add_name("Small")
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
PYTHON
template='[gMASK]<sop>{% for m in messages %}{{ m.content }}{% endfor %}'
printf '%s' "$template" > template.jinja
if venv/bin/gguf-new-metadata --chat-template "$template" model.gguf other.gguf 2> said; then
    echo "it is taken" >&2
    exit 1
fi
tail -n 1 said
grep -q JSONDecodeError said
test ! -e other.gguf
venv/bin/gguf-new-metadata --chat-template-file template.jinja model.gguf other.gguf 2> said
test -e other.gguf
echo "as it was seen"
