package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// docs/quickstart.md, as it stands, in a copy of the sources and with services of
// its own: it ends with the nudge that it promises, within the time it promises.
func TestQuickstart(t *testing.T) {
	services(t) // what it brings up can be had
	const promised = 5 * time.Minute
	text, err := os.ReadFile("../../docs/quickstart.md")
	if err != nil {
		t.Fatal(err)
	}
	script := "set -euo pipefail\n"
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllSubmatch(text, -1) {
		script += string(block[1])
	}
	clone := t.TempDir()
	copySources(t, clone)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()

	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), promised)
	defer cancel()
	env := environment("NUDGED_SERVICES_DIR="+filepath.Join(t.TempDir(), "services"), "NUDGED_HTTP_ADDR="+addr)
	run := exec.CommandContext(ctx, "bash", "-c", script)
	run.Dir, run.Env = clone, env
	run.Cancel = func() error { return run.Process.Signal(os.Interrupt) }
	run.WaitDelay = 10 * time.Second
	var said bytes.Buffer
	run.Stdout, run.Stderr = &said, &said
	t.Cleanup(func() {
		down := exec.Command("deploy/local/down")
		down.Dir, down.Env = clone, env
		_ = down.Run() // as a rule it is down
	})
	if err := run.Run(); err != nil {
		log, _ := os.ReadFile(filepath.Join(clone, "my", "nudged.log"))
		t.Fatalf("after %s: %v\n%s\n%s", time.Since(began), err, said.Bytes(), log)
	}
	t.Logf("%s from the clone to the end", time.Since(began).Round(time.Second))

	sends, err := os.ReadFile(filepath.Join(clone, "my", "sends.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(sends, &got); err != nil {
		t.Fatalf("one command was promised: %v\n%s", err, sends)
	}
	if got["user"] != "ann" || got["rule"] != "wishlist_waiting" || fmt.Sprint(got["data"]) != "map[product:Two-person tent]" {
		t.Errorf("sent %s", sends)
	}
	// The page shows the command as it looks.
	var shown map[string]any
	block := regexp.MustCompile("(?s)```json\n(.*?)```").FindSubmatch(text)
	if block == nil || json.Unmarshal(block[1], &shown) != nil {
		t.Fatal("the page shows no command")
	}
	if a, b := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(shown)); !slices.Equal(a, b) {
		t.Errorf("a command has %v, the page shows one with %v", a, b)
	}
	if !strings.Contains(said.String(), "wishlist_waiting") {
		t.Errorf("the backtest says nothing of the rule:\n%s", said.Bytes())
	}
}

// copySources copies the repository as a clone would have it.
func copySources(t *testing.T, to string) {
	t.Helper()
	root := os.DirFS("../..")
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if slices.Contains([]string{".git", "bin", "dist", "my", "deploy/local/.run"}, name) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, name), 0o755)
		}
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		content, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), content, info.Mode())
	})
	if err != nil {
		t.Fatal(err)
	}
}
