package bench_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/otelshift/otelshift/internal/sandbox"
	"github.com/otelshift/otelshift/internal/sandbox/forge"
)

const (
	botToken = "bot-token"
	commits  = 200 // of a generated repository
	// workloads is how many of a generated repository's load SkyWalking, whatever
	// its size.
	workloads = 1000
)

// sizes of the generated repositories, in files; BENCH_FILES names one alone.
func sizes(b *testing.B) []int {
	b.Helper()
	text := os.Getenv("BENCH_FILES")
	if text == "" {
		return []int{20_000, 50_000, 100_000}
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		b.Fatal(err)
	}
	return []int{n}
}

// kinds are the files of one application.
var kinds = []string{"deployment", "service", "configmap", "ingress"}

// name of the i-th file: four files for each application, fifty clusters.
func name(i int) string {
	app := i / len(kinds)
	return fmt.Sprintf("clusters/c%02d/apps/app-%05d/%s.yaml", app%50, app, kinds[i%len(kinds)])
}

// loads reports an application that loads SkyWalking.
func loads(app, files int) bool {
	every := max(1, files/len(kinds)/workloads)
	return app%every == 0 && app/every < workloads
}

// image of an application.
func image(app int) string {
	return fmt.Sprintf("%s/team-%03d/app-%05d:1.%d.%d", sandbox.RegistryHost, app%300, app, app%40, app%7)
}

// content of the i-th file: as long and as hard to compress as a manifest.
func content(i, files int) string {
	app := i / len(kinds)
	sum := sha256.Sum256(fmt.Append(nil, i))
	flag := "-Xms1g -Xmx1g"
	if loads(app, files) {
		flag += " -javaagent:/home/admin/skywalking-agent/skywalking-agent.jar"
	}
	metadata := fmt.Sprintf("metadata:\n  name: app-%05d\n  namespace: team-%03d\n  labels:\n    app.kubernetes.io/name: app-%05d\n    app.kubernetes.io/instance: app-%05d\n    checksum: %x\n",
		app, app%300, app, app, sum[:12])
	switch kinds[i%len(kinds)] {
	case "deployment":
		return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
%sspec:
  replicas: %d
  revisionHistoryLimit: 3
  selector:
    matchLabels:
      app.kubernetes.io/name: app-%05d
  template:
    metadata:
      labels:
        app.kubernetes.io/name: app-%05d
      annotations:
        checksum/config: %x
    spec:
      terminationGracePeriodSeconds: 45
      containers:
      - name: app-%05d
        image: %s
        env:
        - name: JAVA_TOOL_OPTIONS
          value: "%s"
        - name: SPRING_PROFILES_ACTIVE
          value: prod
        - name: DB_HOST
          value: db-%x.internal
        ports:
        - name: http
          containerPort: 8080
        readinessProbe:
          httpGet:
            path: /actuator/health/readiness
            port: http
          periodSeconds: 10
        resources:
          requests:
            cpu: 250m
            memory: %dMi
          limits:
            memory: %dMi
`, metadata, 2+app%3, app, app, sum[:], app, image(app), flag, sum[:4], 512+app%512, 1024+app%512)
	case "service":
		return fmt.Sprintf("apiVersion: v1\nkind: Service\n%sspec:\n  selector:\n    app.kubernetes.io/name: app-%05d\n  ports:\n  - name: http\n    port: 80\n    targetPort: http\n  - name: grpc\n    port: %d\n    targetPort: grpc\n",
			metadata, app, 9000+app%100)
	case "configmap":
		return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\n%sdata:\n  application.yaml: |\n    spring:\n      application:\n        name: app-%05d\n      datasource:\n        url: jdbc:postgresql://db-%x.internal:5432/app%d\n    feature:\n      key: %x\n",
			metadata, app, sum[:4], app, sum[12:])
	}
	return fmt.Sprintf("apiVersion: networking.k8s.io/v1\nkind: Ingress\n%sspec:\n  rules:\n  - host: app-%05d.team-%03d.example.com\n    http:\n      paths:\n      - path: /\n        pathType: Prefix\n        backend:\n          service:\n            name: app-%05d\n            port:\n              name: http\n",
		metadata, app, app%300, app)
}

// edits are ten files that a change of ours touches.
func edits(files int) map[string][]byte {
	changed := map[string][]byte{}
	for i := range 10 {
		at := i * (files / 10)
		changed[name(at)] = []byte(content(at, files) + "# edited\n")
	}
	return changed
}

// serve starts a forge whose repository has that many files and 200 commits,
// packed as a server packs them.
func serve(b *testing.B, files int) *forge.Forge {
	b.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		b.Skipf("needs git: %v", err)
	}
	f, err := forge.Start(b.Context(), forge.Options{
		Owner: "acme", Repo: "deployments", Dir: b.TempDir(), Now: time.Now,
		Users: []forge.User{{Login: "ada", Token: "ada-token", Role: forge.Admin}, {Login: "bot", Token: botToken, Role: forge.Write}},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := f.Close(); err != nil {
			b.Error(err)
		}
	})
	fill(b, f.Dir(), files)
	return f
}

// fill writes the history by git fast-import.
func fill(b *testing.B, dir string, files int) {
	b.Helper()
	load := exec.CommandContext(b.Context(), "git", "-C", dir, "fast-import", "--quiet")
	in, err := load.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	var said bytes.Buffer
	load.Stderr = &said
	if err := load.Start(); err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriterSize(in, 1<<20)
	when := time.Now().Add(-commits * time.Hour).Unix()
	for c := range commits { // the writer keeps its error until Flush
		message := fmt.Sprintf("change %d", c)
		_, _ = fmt.Fprintf(w, "commit refs/heads/main\ncommitter ada <ada@example.com> %d +0000\ndata %d\n%s\n", when+int64(c)*3600, len(message), message)
		if c == 0 {
			_, _ = fmt.Fprint(w, "from refs/heads/main^0\n")
		}
		put := func(i int, text string) {
			_, _ = fmt.Fprintf(w, "M 100644 inline %s\ndata %d\n%s\n", name(i), len(text), text)
		}
		if c == 0 {
			for i := range files {
				put(i, content(i, files))
			}
			continue
		}
		for k := range 10 {
			i := (c*7919 + k*104_729) % files
			put(i, content(i, files)+fmt.Sprintf("# change %d\n", c))
		}
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := in.Close(); err != nil {
		b.Fatal(err)
	}
	if err := load.Wait(); err != nil {
		b.Fatalf("git fast-import: %v\n%s", err, said.String())
	}
	for _, args := range [][]string{
		{"repack", "-q", "-a", "-d", "--write-bitmap-index", "--window=10"},
		{"commit-graph", "write", "--reachable"},
		{"pack-refs", "--all"},
	} {
		if out, err := exec.CommandContext(b.Context(), "git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			b.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
