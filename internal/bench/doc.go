// Package bench holds what a large repository costs otelshift against what it
// costs others: git itself and go-git with a worktree. It has no code but its
// benchmarks, which "make bench" runs:
//
//	go test ./internal/bench -run '^$' -bench . -benchtime 1x
//
// BENCH_FILES=20000 runs one size alone. Every way is a process of its own, so
// that its processor time and memory are its own; the server's are not counted.
// What the project demands of itself fails the benchmark when it is missed.
package bench
