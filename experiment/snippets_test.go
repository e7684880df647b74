package experiment

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// answers is what the programs of docs/assignment.md say to the vectors.
type answers struct {
	Buckets []uint16
	Arms    []*string
	Holdout [][]string
}

// The drivers read the vectors and print answers; they only call what the page
// defines.
const pythonDriver = `
import json, sys
v = json.load(open(sys.argv[1], encoding="utf-8"))
try:
    bucket("variant", "a", "b\0")
    sys.exit("a NUL is taken")
except ValueError:
    pass
print(json.dumps({
    "Buckets": [bucket(b["kind"], b["salt"], b["unit"]) for b in v["buckets"]],
    "Arms": [arm(v["experiments"][a["experiment"]], a["unit"]) for a in v["assignments"]],
    "Holdout": [[u for u in h["of"] if held_out(h["holdout"]["percent"], h["holdout"]["salt"], u)] for h in v["holdouts"]],
}))
`

const nodeDriver = `
const v = JSON.parse(require("fs").readFileSync(process.argv[2], "utf-8"));
let refused = false;
try { bucket("variant", "a", "b\0"); } catch { refused = true; }
if (!refused) throw new Error("a NUL is taken");
console.log(JSON.stringify({
  Buckets: v.buckets.map((b) => bucket(b.kind, b.salt, b.unit)),
  Arms: v.assignments.map((a) => arm(v.experiments[a.experiment], a.unit)),
  Holdout: v.holdouts.map((h) => h.of.filter((u) => heldOut(h.holdout.percent, h.holdout.salt, u))),
}));
`

// The programs that docs/assignment.md offers to copy are right.
func TestSnippetsAgreeWithVectors(t *testing.T) {
	doc, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	v := readVectors(t)
	for _, c := range []struct{ language, program, file, driver string }{
		{"python", "python3", "assign.py", pythonDriver},
		{"js", "node", "assign.js", nodeDriver},
	} {
		t.Run(c.language, func(t *testing.T) {
			program, err := exec.LookPath(c.program)
			if err != nil {
				t.Fatalf("this test runs a program of %s and needs %s: install it, or put it on the PATH "+
					"(deploy/local/test installs it where it can): %v", docFile, c.program, err)
			}
			_, rest, found := strings.Cut(string(doc), "```"+c.language+"\n")
			snippet, _, closed := strings.Cut(rest, "```\n")
			if !found || !closed || strings.Contains(rest, "```"+c.language+"\n") {
				t.Fatalf("%s does not have exactly one program in %s", docFile, c.language)
			}
			path := filepath.Join(t.TempDir(), c.file)
			if err := os.WriteFile(path, []byte(snippet+c.driver), 0o600); err != nil {
				t.Fatal(err)
			}
			command := exec.Command(program, path, vectorFile)
			var stderr bytes.Buffer
			command.Stderr = &stderr
			out, err := command.Output()
			if err != nil {
				t.Fatalf("%s: %v\n%s", command, err, stderr.String())
			}
			var got answers
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatal(err)
			}
			if len(got.Buckets) != len(v.Buckets) || len(got.Arms) != len(v.Assignments) || len(got.Holdout) != len(v.Holdouts) {
				t.Fatalf("%d, %d and %d answers", len(got.Buckets), len(got.Arms), len(got.Holdout))
			}
			for i, b := range v.Buckets {
				if got.Buckets[i] != b.Bucket {
					t.Errorf("bucket of %s, %q, %q: %d, want %d", b.Kind, b.Salt, b.Unit, got.Buckets[i], b.Bucket)
				}
			}
			for i, a := range v.Assignments {
				arm := ""
				if got.Arms[i] != nil {
					arm = *got.Arms[i]
				}
				if arm != a.Arm {
					t.Errorf("experiment %d, unit %q: arm %q, want %q", a.Experiment, a.Unit, arm, a.Arm)
				}
			}
			for i, h := range v.Holdouts {
				if !slices.Equal(got.Holdout[i], h.In) {
					t.Errorf("holdout %+v: %q are in, want %q", h.Holdout, got.Holdout[i], h.In)
				}
			}
		})
	}
}
