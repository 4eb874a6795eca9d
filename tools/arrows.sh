#!/usr/bin/env bash
# Proves that .golangci.yml catches what it says: in a module of stubs with the house's own paths, each forbidden import and
# call below has to be reported, and each allowed one must not be.
#
# usage: tools/arrows.sh path/to/golangci-lint
set -euo pipefail
lint=$(realpath "$1")
rules=$(realpath "$(dirname "$0")/../.golangci.yml")
module=github.com/otelshift/otelshift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

for dir in fleet javaagent yamledit config plan rollout rollout/cluster rollout/telemetry ledger dashboard kyamlfn helmchart manifest imagebuild gitops \
	gitops/pullrequest migrate survey; do
	mkdir -p "pkg/$dir"
	echo "package $(basename "$dir")" >"pkg/$dir/stub.go"
done
mkdir -p internal/sandbox cmd/otelshift
echo "package sandbox" >internal/sandbox/stub.go
printf 'package main\n\nfunc main() {}\n' >cmd/otelshift/stub.go
cp "$rules" .golangci.yml
printf 'module %s\n\ngo 1.26.0\n' "$module" >go.mod

cases=0
# import_case want folder import [file]: want is the rule that must object, or "-".
import_case() {
	local want=$1 folder=$2 import=$3 file=${4:-probe.go}
	cases=$((cases + 1))
	[[ $import == pkg/* || $import == internal/* ]] && import=$module/$import
	local package
	package=$(sed -n 's/^package //p' "$folder/stub.go")
	# Each case stands in a copy of its folder, so that one run of the linter judges all of them.
	local at=case$cases/$folder
	mkdir -p "$at"
	printf 'package %s\n\nimport _ "%s"\n' "$package" "$import" >"$at/$file"
	printf '%s\t%s\t%s\n' "$at/$file" "$want" "$import" >>wanted
}

import_case leaf pkg/yamledit os
import_case leaf pkg/yamledit os/exec
import_case leaf pkg/javaagent pkg/fleet
import_case leaf pkg/javaagent net/http
import_case - pkg/javaagent go/token
import_case - pkg/yamledit strings
import_case nouns pkg/fleet pkg/config
import_case nouns pkg/fleet log/slog
import_case - pkg/fleet pkg/javaagent
import_case configuration pkg/config os
import_case configuration pkg/config pkg/manifest
import_case - pkg/config go/ast
import_case - pkg/config pkg/fleet
import_case - pkg/config pkg/javaagent
import_case judges pkg/rollout pkg/rollout/cluster
import_case judges pkg/rollout net/http
import_case judges pkg/ledger pkg/plan
import_case - pkg/ledger pkg/config
import_case policy pkg/plan pkg/imagebuild
import_case policy pkg/plan log/slog
import_case - pkg/plan pkg/manifest
import_case - pkg/plan pkg/ledger
import_case views pkg/dashboard os
import_case views pkg/dashboard pkg/migrate
import_case - pkg/dashboard pkg/ledger
import_case surveys pkg/survey pkg/config
import_case surveys pkg/survey os
import_case charts pkg/helmchart pkg/manifest
import_case charts pkg/helmchart net/http
import_case - pkg/manifest pkg/helmchart
import_case filters pkg/kyamlfn pkg/manifest
import_case filters pkg/kyamlfn os
import_case - pkg/kyamlfn pkg/yamledit
import_case sources pkg/manifest pkg/plan
import_case sources pkg/manifest net/http
import_case - pkg/manifest pkg/kyamlfn
import_case effects pkg/imagebuild pkg/gitops
import_case effects pkg/gitops pkg/config
import_case effects pkg/gitops/pullrequest pkg/gitops
import_case effects pkg/rollout/cluster pkg/migrate
import_case effects pkg/gitops pkg/rollout/cluster
import_case effects pkg/rollout/telemetry pkg/migrate
import_case effects pkg/rollout/telemetry pkg/rollout/cluster
import_case - pkg/rollout/cluster pkg/rollout
import_case - pkg/gitops net/http
import_case - pkg/gitops pkg/config probe_test.go
import_case conductor pkg/migrate pkg/gitops
import_case conductor pkg/migrate pkg/gitops/pullrequest
import_case conductor pkg/migrate pkg/imagebuild
import_case conductor pkg/migrate pkg/rollout/cluster
import_case conductor pkg/migrate pkg/rollout/telemetry
import_case - pkg/migrate pkg/rollout
import_case - pkg/migrate log/slog
import_case product pkg/migrate internal/sandbox
import_case effects pkg/gitops internal/sandbox
import_case commands cmd/otelshift pkg/gitops
import_case commands cmd/otelshift pkg/plan
import_case - cmd/otelshift pkg/migrate
import_case - cmd/otelshift pkg/gitops wire.go
import_case - cmd/otelshift internal/sandbox

# call_case want folder file code: want is the linter that must object, or "-".
call_case() {
	local want=$1 folder=$2 file=$3 code=$4
	cases=$((cases + 1))
	local at=case$cases/$folder
	mkdir -p "$at"
	printf '%s\n' "$code" >"$at/$file"
	printf '%s\t%s\t%s\n' "$at/$file" "$want" "${code##*$'\n'}" >>wanted
}
call_case forbidigo pkg/gitops probe.go $'package gitops\n\nimport "os"\n\nvar _ = os.Getenv("HOME")'
call_case forbidigo pkg/migrate probe.go $'package migrate\n\nimport "time"\n\nfunc probe() time.Time { return time.Now() }'
call_case forbidigo cmd/otelshift probe.go $'package main\n\nimport "os"\n\nfunc main() { os.Exit(1) }'
call_case - cmd/otelshift main.go $'package main\n\nimport "os"\n\nfunc main() { os.Exit(1) }'
call_case gochecknoglobals pkg/plan probe.go $'package plan\n\nvar probe = map[string]int{}'

out=$("$lint" run --max-issues-per-linter 0 --max-same-issues 0 --allow-parallel-runners --enable-only depguard,forbidigo,gochecknoglobals \
	--output.text.path stdout --output.text.print-issued-lines=false ./... 2>&1 || true)
failed=0
while IFS=$'\t' read -r file want what; do
	found=$(grep -F "$file:" <<<"$out" || true)
	if [[ $want == - && -n $found ]]; then
		echo "arrows: must be allowed: $file: $what: $found"
		failed=1
	elif [[ $want != - ]] && ! grep -qE "list '$want'|\($want\)" <<<"$found"; then
		echo "arrows: $want must object: $file: $what: ${found:-nothing was said}"
		failed=1
	fi
done < <(grep -P '^case\d+/.*\t.*\t' wanted)
if ((failed)); then
	echo "$out" | tail -20
	exit 1
fi
echo "arrows: $cases cases hold"
