package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// clone makes a repository of the work tree's files, in a folder of its own, with
// a fixed author and time.
func clone(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), fmt.Sprintf("%x", sha256.Sum256([]byte(t.Name())))[:8])
	for _, name := range []string{"go.mod", "go.sum", "deploy/build", "cmd", "internal", "processor", "rules", "sinks", "experiment", "examples"} {
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if said, err := exec.Command("cp", "-Rp", filepath.Join("../..", name), to).CombinedOutput(); err != nil {
			t.Fatalf("cp %s: %v\n%s", name, err, said)
		}
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"commit", "-q", "-m", "the sources"}, {"tag", "v9.8.7"}} {
		git := exec.Command("git", args...)
		git.Dir = dir
		git.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b.c", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b.c",
			"GIT_AUTHOR_DATE=2026-01-02T03:04:05Z", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z")
		if said, err := git.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, said)
		}
	}
	return dir
}

// Two builds of one commit in two folders are the same bytes, programs, bills and
// checksums.
func TestReleasesAreReproducible(t *testing.T) {
	platform := runtime.GOOS + "/" + runtime.GOARCH
	var outs []string
	for _, name := range []string{"first", "second"} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(os.TempDir(), "nudged-release-"+name+fmt.Sprint(os.Getpid()))
			outs = append(outs, out)
			if err := run(t.Context(), []string{"--root", clone(t), "--out", out, "--platforms", platform}); err != nil {
				t.Fatal(err)
			}
		})
	}
	for _, out := range outs {
		defer os.RemoveAll(out)
	}
	if t.Failed() {
		return
	}
	sums := read(t, outs[0], "SHA256SUMS")
	if second := read(t, outs[1], "SHA256SUMS"); !bytes.Equal(sums, second) {
		t.Errorf("the checksums differ:\n%s\n%s", sums, second)
	}
	files := 0
	for lines := bufio.NewScanner(bytes.NewReader(sums)); lines.Scan(); files++ {
		want, name, _ := strings.Cut(lines.Text(), "  ")
		content := read(t, outs[0], name)
		if got := fmt.Sprintf("%x", sha256.Sum256(content)); got != want {
			t.Errorf("%s has the checksum %s, SHA256SUMS says %s", name, got, want)
		}
		if !bytes.Equal(content, read(t, outs[1], name)) {
			t.Errorf("%s differs", name)
		}
	}
	if files != 2 {
		t.Errorf("%d files in SHA256SUMS, want the program and its bill", files)
	}
	name := fmt.Sprintf("nudged-v9.8.7-%s-%s", runtime.GOOS, runtime.GOARCH)
	requireStamped(t, filepath.Join(outs[0], name))
	requireBill(t, filepath.Join(outs[0], name))
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// requireStamped asks the program what it is.
func requireStamped(t *testing.T, program string) {
	t.Helper()
	said, err := exec.Command(program, "version", "--format", "json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var v struct{ Version, Commit string }
	if err := json.Unmarshal(said, &v); err != nil {
		t.Fatal(err)
	}
	if v.Version != "v9.8.7" || !regexp.MustCompile(`^[0-9a-f]{40}$`).MatchString(v.Commit) {
		t.Errorf("the program says that it is version %q of commit %q", v.Version, v.Commit)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.UserHomeDir()
	if err == nil && bytes.Contains(content, []byte(filepath.Join(home, "go"))) {
		t.Error("the program holds paths of the machine it was built on")
	}
}

// requireBill compares the bill with what the Go command says of the program.
func requireBill(t *testing.T, program string) {
	t.Helper()
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	var b bill
	if err := json.Unmarshal(read(t, filepath.Dir(program), filepath.Base(program)+".cdx.json"), &b); err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for _, c := range b.Components {
		listed[c.Name] = c.Version
		if c.Purl != "pkg:golang/"+c.Name+"@"+c.Version && !strings.Contains(c.Version, "+") {
			t.Errorf("%s %s has the purl %s", c.Name, c.Version, c.Purl)
		}
	}
	if listed["std"] != "v"+strings.TrimPrefix(info.GoVersion, "go") || len(listed) != len(info.Deps)+1 {
		t.Errorf("%d components, std %s; the program has %d modules and is of %s", len(listed), listed["std"], len(info.Deps), info.GoVersion)
	}
	for _, m := range info.Deps {
		if listed[m.Path] != m.Version {
			t.Errorf("%s is listed as %q, linked as %q", m.Path, listed[m.Path], m.Version)
		}
	}
	if b.Metadata.Timestamp != "2026-01-02T03:04:05Z" || b.Metadata.Component.Version != "v9.8.7" {
		t.Errorf("metadata %+v", b.Metadata)
	}
}

func TestReleaseRefusesChanges(t *testing.T) {
	dir := clone(t)
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module changed\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := run(t.Context(), []string{"--root", dir, "--out", t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "not committed") {
		t.Errorf("a work tree with changes: %v", err)
	}
}
