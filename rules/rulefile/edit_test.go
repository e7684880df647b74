package rulefile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func compileFile(t *testing.T, name, path string) *Compiled {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Compile([]File{{Name: name, Text: text}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Each folder of testdata/edits holds rules before and after an edit, and what
// is said about it.
func TestCompare(t *testing.T) {
	folders, err := filepath.Glob("testdata/edits/*")
	if err != nil {
		t.Fatal(err)
	}
	if len(folders) < 25 {
		t.Fatalf("found %d edits, expected at least 25", len(folders))
	}
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			before := compileFile(t, "before.yaml", filepath.Join(folder, "before.yaml"))
			after := compileFile(t, "after.yaml", filepath.Join(folder, "after.yaml"))
			var got strings.Builder
			for _, change := range Compare(before, after) {
				if change.Section == "" || change.Edit == "" || change.Line == 0 || change.Refused != (change.WayOut != "") && change.Edit != "renamed" {
					t.Errorf("something is missing: %+v", change)
				}
				got.WriteString("[" + change.Edit + "] " + change.String() + "\n")
			}
			golden := filepath.Join(folder, "golden")
			if *update {
				if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("other words than before (-want +got); run the test with -update if they are better:\n%s", diff)
			}
			for _, c := range []*Compiled{before, after} {
				if changes := Compare(c, c); len(changes) != 0 {
					t.Errorf("a set differs from itself: %v", changes)
				}
			}
		})
	}
}
