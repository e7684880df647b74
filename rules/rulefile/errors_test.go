package rulefile

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Each file of testdata/errors is a kind of mistake; the golden file beside it
// is what is said about it.
func TestErrors(t *testing.T) {
	paths, err := filepath.Glob("testdata/errors/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) < 170 {
		t.Fatalf("found %d files of mistakes, expected at least 170", len(paths))
	}
	for _, path := range paths {
		name := filepath.Base(path)
		t.Run(strings.TrimSuffix(name, ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			set, err := Parse([]File{{Name: name, Text: text}})
			if err == nil || set != nil {
				t.Fatal("the file has a mistake, but it compiled")
			}
			var list *ErrorList
			if !errors.As(err, &list) {
				t.Fatalf("got a %T, expected an *ErrorList", err)
			}
			for _, p := range list.Problems() {
				if p.Message == "" || p.WayOut == "" {
					t.Errorf("a problem without a message or a way out: %+v", p)
				}
			}
			golden := strings.TrimSuffix(path, ".yaml") + ".golden"
			got := err.Error() + "\n"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("other words than before (-want +got); run the test with -update if they are better:\n%s", diff)
			}
		})
	}
}
