package jar_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/imagebuild/jar"
)

// file of an archive. Stored ones have their sizes in front, as Spring Boot
// writes nested jars; the others behind, as Java's JarOutputStream does.
type file struct {
	name   string
	body   []byte
	stored bool
}

func archive(t testing.TB, files ...file) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for _, f := range files {
		var w io.Writer
		var err error
		if f.stored {
			h := &zip.FileHeader{Name: f.name, Method: zip.Store, UncompressedSize64: uint64(len(f.body)), CompressedSize64: uint64(len(f.body))}
			w, err = z.CreateRaw(h)
		} else {
			w, err = z.CreateHeader(&zip.FileHeader{Name: f.name, Method: zip.Deflate})
		}
		if err == nil {
			_, err = w.Write(f.body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// class is as much of a class file as the search sees: names among constants.
func class(names ...string) []byte {
	body := []byte{0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 52, 0, 20}
	for _, name := range names {
		body = append(body, 1, byte(len(name)>>8), byte(len(name)))
		body = append(body, name...)
	}
	return append(body, 7, 0, 1)
}

const toolkit = "org/apache/skywalking/apm/toolkit/"

func TestScan(t *testing.T) {
	t.Parallel()
	uses := file{name: "com/shop/Cart.class", body: class("com/shop/Cart", "java/lang/Object", toolkit+"trace/TraceContext", "()L"+toolkit+"trace/ActiveSpan;")}
	idle := file{name: "com/shop/Idle.class", body: class("com/shop/Idle", "java/lang/Object")}
	library := archive(t, file{name: toolkit + "trace/TraceContext.class", body: class(toolkit+"trace/TraceContext", toolkit+"trace/Tracer")})
	cart := jar.Use{In: "com/shop/Cart.class", Names: []string{"trace.ActiveSpan", "trace.TraceContext"}}
	in := func(where string, u jar.Use) jar.Use { return jar.Use{In: where + u.In, Names: u.Names} }
	for _, row := range []struct {
		name, file string
		body       []byte
		want       jar.Report
	}{
		{name: "an application without the toolkit is quiet", body: archive(t, idle)},
		{name: "an empty archive is quiet", body: archive(t), want: jar.Report{}},
		{name: "a class that uses the toolkit", body: archive(t, idle, uses), want: jar.Report{Uses: []jar.Use{cart}}},
		{name: "stored entries", body: archive(t, file{uses.name, uses.body, true}), want: jar.Report{Uses: []jar.Use{cart}}},
		{
			name: "a Spring Boot jar", body: archive(t,
				file{name: "BOOT-INF/classes/com/shop/Cart.class", body: uses.body},
				file{name: "BOOT-INF/lib/apm-toolkit-trace-8.9.0.jar", body: library, stored: true},
				file{name: "BOOT-INF/lib/pay.jar", body: archive(t, uses), stored: true}),
			want: jar.Report{
				Libraries: []string{"apm-toolkit-trace-8.9.0.jar"},
				Uses:      []jar.Use{in("BOOT-INF/classes/", cart), in("BOOT-INF/lib/pay.jar!/", cart)},
			},
		},
		{
			name: "a war in an ear, compressed", body: archive(t, file{name: "shop.war", body: archive(t,
				file{name: "WEB-INF/lib/apm-toolkit-logback-1.x-9.0.0.jar", body: library},
				file{name: "WEB-INF/lib/pay.jar", body: archive(t, uses)})}),
			want: jar.Report{
				Libraries: []string{"apm-toolkit-logback-1.x-9.0.0.jar"},
				Uses:      []jar.Use{in("shop.war!/WEB-INF/lib/pay.jar!/", cart)},
			},
		},
		{
			name: "an executable jar behind a shell script", body: append([]byte("#!/bin/bash\nexec java -jar $0\nexit\n"), archive(t, uses)...),
			want: jar.Report{Uses: []jar.Use{cart}},
		},
		{
			name: "a layout in a logging configuration", body: archive(t, file{name: "logback.xml", body: []byte(
				`<layout class="org.apache.skywalking.apm.toolkit.log.logback.v1.x.TraceIdPatternLogbackLayout">`)}),
			want: jar.Report{Uses: []jar.Use{{In: "logback.xml", Names: []string{"log.logback.v1.x.TraceIdPatternLogbackLayout"}}}},
		},
		{
			name: "a relocated toolkit in a shaded jar", body: archive(t,
				file{name: "com/shop/shaded/" + toolkit + "trace/Trace.class", body: class("com/shop/shaded/" + toolkit + "trace/Trace")},
				file{name: "com/shop/Cart.class", body: class("Lcom/shop/shaded/" + toolkit + "trace/Trace;")}),
			want: jar.Report{Libraries: []string{"apm-toolkit-trace"}, Uses: []jar.Use{{In: "com/shop/Cart.class", Names: []string{"trace.Trace"}}}},
		},
		{
			name: "Micrometer's registry", body: archive(t, file{name: "A.class", body: class("org/apache/skywalking/apm/meter/micrometer/SkywalkingMeterRegistry")}),
			want: jar.Report{Uses: []jar.Use{{In: "A.class", Names: []string{"meter.micrometer.SkywalkingMeterRegistry"}}}},
		},
		{name: "the library itself", file: "lib/apm-toolkit-trace-8.9.0.jar", body: library, want: jar.Report{Libraries: []string{"apm-toolkit-trace-8.9.0.jar"}}},
		{name: "the agent's plugin for it is no library", file: "activations/apm-toolkit-trace-activation-9.0.0.jar", body: archive(t, idle)},
		{name: "no archive", body: []byte("a page of text"), want: jar.Report{Unread: []string{"no archive: not readable as a stream"}}},
		{
			name: "a library that is damaged does not hide the rest", body: archive(t, file{name: "lib/a.jar", body: archive(t, uses)[:60], stored: true}, uses),
			want: jar.Report{Uses: []jar.Use{cart}, Unread: []string{"lib/a.jar: it ends too early: not readable as a stream"}},
		},
		{
			name: "archives in archives end somewhere", body: deep(t, 6, uses),
			want: jar.Report{Unread: []string{"a.jar!/a.jar!/a.jar!/a.jar lies too deep"}},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			name := row.file
			if name == "" {
				name = "app.jar"
			}
			for way, r := range map[string]io.Reader{
				"whole": bytes.NewReader(row.body), "byte by byte": iotest.OneByteReader(bytes.NewReader(row.body)),
			} {
				got, err := jar.Scan(r, name)
				if err != nil {
					t.Fatal(err)
				}
				got.Manifest = nil
				if diff := cmp.Diff(row.want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", way, diff)
				}
			}
		})
	}
}

func deep(t *testing.T, n int, f file) []byte {
	t.Helper()
	body := archive(t, f)
	for range n {
		body = archive(t, file{name: "a.jar", body: body})
	}
	return body
}

func TestScanReadsTheManifest(t *testing.T) {
	t.Parallel()
	body := archive(t, file{name: "META-INF/MANIFEST.MF", body: []byte("Manifest-Version: 1.0\r\nPremain-Class: org.apache.sky\r\n walking.Agent\r\n\r\nName: x\r\nPremain-Class: no\r\n")})
	got, err := jar.Scan(bytes.NewReader(body), "a.jar")
	if err != nil || got.Manifest["Premain-Class"] != "org.apache.skywalking.Agent" {
		t.Errorf("Scan = %v, %v", got.Manifest, err)
	}
}

func TestAStreamThatBreaksIsAnError(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	body := archive(t, file{name: "lib/a.jar", body: archive(t, file{name: "A.class", body: class("A")})})
	for _, n := range []int{0, 20, 60, 100} {
		_, err := jar.Scan(io.MultiReader(bytes.NewReader(body[:n]), iotest.ErrReader(broken)), "a.jar")
		if !errors.Is(err, broken) {
			t.Errorf("after %d bytes: %v, want the stream's own error", n, err)
		}
	}
}

func TestUsesAreCountedBeyondTheFirst(t *testing.T) {
	t.Parallel()
	var files []file
	for i := range 60 {
		files = append(files, file{name: fmt.Sprintf("C%02d.class", i), body: class(toolkit + "trace/Trace")})
	}
	got, err := jar.Scan(bytes.NewReader(archive(t, files...)), "a.jar")
	if err != nil || len(got.Uses) != 50 || got.More != 10 {
		t.Errorf("Scan = %d uses and %d more, %v, want 50 and 10", len(got.Uses), got.More, err)
	}
}

// TestJavasOwnToolsWriteWhatIsRead reads an archive that javac and jar made.
func TestJavasOwnToolsWriteWhatIsRead(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"javac", "jar"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: %v", tool, err)
		}
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		toolkit + "trace/TraceContext.java": "package org.apache.skywalking.apm.toolkit.trace;\npublic class TraceContext { public static String traceId() { return \"\"; } }",
		toolkit + "trace/Trace.java":        "package org.apache.skywalking.apm.toolkit.trace;\npublic @interface Trace {}",
		"com/shop/Cart.java":                "package com.shop;\npublic class Cart { @org.apache.skywalking.apm.toolkit.trace.Trace String id() { return org.apache.skywalking.apm.toolkit.trace.TraceContext.traceId(); } }",
	} {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(program string, args ...string) {
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", program, err, out)
		}
	}
	run("javac", "-d", "classes", "com/shop/Cart.java", toolkit+"trace/Trace.java", toolkit+"trace/TraceContext.java")
	run("jar", "--create", "--file", "apm-toolkit-trace-9.0.0.jar", "-C", "classes", "org")
	run("jar", "--create", "--file", "lib.jar", "-C", "classes", "com")
	want := jar.Report{
		Libraries: []string{"apm-toolkit-trace-9.0.0.jar"},
		Uses:      []jar.Use{{In: "lib.jar!/com/shop/Cart.class", Names: []string{"trace.Trace", "trace.TraceContext"}}},
	}
	for _, flags := range []string{"--create", "--create --no-compress"} {
		run("jar", append(strings.Fields(flags), "--file", "app.war", "lib.jar", "apm-toolkit-trace-9.0.0.jar")...)
		f, err := os.Open(filepath.Join(dir, "app.war"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := jar.Scan(f, "app.war")
		_ = f.Close()
		got.Manifest = nil
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", flags, err, diff)
		}
	}
}

func FuzzScan(f *testing.F) {
	f.Add(archive(f, file{name: "a.jar", body: archive(f, file{name: "A.class", body: class(toolkit + "trace/Trace")})}, file{name: "b.xml", stored: true, body: []byte("x")}))
	f.Add([]byte("#!/bin/sh\nPK\x03\x04"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := jar.Scan(bytes.NewReader(body), "a.jar"); err != nil {
			t.Errorf("Scan: %v, but the stream is whole", err)
		}
	})
}
