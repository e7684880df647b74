package check

import (
	"debug/elf"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// instructions are those of a Dockerfile, continued lines joined.
func instructions(t *testing.T) (list [][2]string) {
	t.Helper()
	text := regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(read(t, "deploy/Dockerfile"), "")
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", "")) {
		if word, rest, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			list = append(list, [2]string{word, strings.TrimSpace(rest)})
		}
	}
	return list
}

// The image's build without an engine: its own commands, in a folder that holds
// what .dockerignore lets through, give a static program that runs.
func TestImageBuilds(t *testing.T) {
	if runtime.GOOS != "linux" {
		leaveOut(t, "images are of Linux, and this is "+runtime.GOOS)
	}
	src := t.TempDir()
	copyContext(t, src)
	env := []string{"TARGETOS=linux", "TARGETARCH=" + runtime.GOARCH, "VERSION=v1.2.3", "COMMIT=" + strings.Repeat("ab", 20)}
	ran := 0
	for _, in := range instructions(t) {
		if in[0] != "RUN" {
			continue
		}
		run := regexp.MustCompile(`--mount=\S+\s+`).ReplaceAllString(in[1], "")
		output(t, env, "sh", "-ec", "cd "+src+"\n"+run)
		ran++
	}
	if ran != 2 {
		t.Errorf("%d RUN instructions, want 2", ran)
	}
	built := filepath.Join(src, "out", "nudged")
	file, err := elf.Open(built)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the program is not static: the image holds no loader")
		}
	}
	if said := output(t, nil, built, "version"); !strings.HasPrefix(said, "nudged v1.2.3 abab") {
		t.Errorf("the program says %s", said)
	}
}

// copyContext copies what the build may see.
func copyContext(t *testing.T, to string) {
	t.Helper()
	ignore, err := os.Open(path("deploy/Dockerfile.dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	defer ignore.Close()
	patterns, err := ignorefile.ReadAll(ignore)
	if err != nil {
		t.Fatal(err)
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	err = fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if d.IsDir() && (name == ".git" || name == "bin" || name == "dist") {
			return fs.SkipDir // large, and left out anyway
		}
		out, err := matcher.MatchesOrParentMatches(name)
		if err != nil || out || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path(name))
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o755); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), text, info.Mode())
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What the image is made of, and that it fits nudged and the manifests.
func TestImage(t *testing.T) {
	last := map[string]string{}
	var from []string
	for _, in := range instructions(t) {
		last[in[0]] = in[1]
		if in[0] == "FROM" {
			from = append(from, in[1])
		}
	}
	pinned := regexp.MustCompile(`^(--platform=\$BUILDPLATFORM golang:\d+\.\d+\.\d+-\w+ AS build|gcr\.io/distroless/static-debian12:nonroot@sha256:[0-9a-f]{64})$`)
	for _, f := range from {
		if !pinned.MatchString(f) {
			t.Errorf("FROM %s", f)
		}
	}
	goVersion := regexp.MustCompile(`golang:([0-9.]+)`).FindStringSubmatch(from[0])
	if len(goVersion) != 2 || "go"+goVersion[1] != runtime.Version() {
		t.Errorf("the image is built by Go %v, the tests by %s", goVersion, runtime.Version())
	}
	if last["USER"] != "65532:65532" || last["ENTRYPOINT"] != `["/nudged"]` || last["COPY"] != "--from=build /src/out/nudged /nudged" {
		t.Errorf("USER %s, ENTRYPOINT %s, COPY %s", last["USER"], last["ENTRYPOINT"], last["COPY"])
	}
	m := render(t, "deploy/kustomize/base")
	if *m.pod().SecurityContext.RunAsUser != 65532 {
		t.Error("the pods run as another user than the image's")
	}
	args := strings.Split(strings.Trim(strings.ReplaceAll(last["CMD"], `"`, ""), "[]"), ", ")
	requireKnownFlags(t, args)
	if !slices.Equal(args, m.container().Args) {
		t.Errorf("CMD %q, the pods' arguments are %q", args, m.container().Args)
	}
	if last["EXPOSE"] != "8080" || m.container().Ports[0].ContainerPort != 8080 {
		t.Errorf("EXPOSE %s, the pods' port is %d", last["EXPOSE"], m.container().Ports[0].ContainerPort)
	}
}
