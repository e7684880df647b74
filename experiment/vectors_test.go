package experiment

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
)

var update = flag.Bool("update", false, "rewrite the table of docs/assignment.md from testdata/vectors.json")

const (
	vectorFile = "testdata/vectors.json"
	docFile    = "../docs/assignment.md"
)

type vectors struct {
	Buckets []struct {
		Kind   Kind
		Salt   string
		Unit   string
		Hash   string
		Bucket uint16
	}
	Experiments []struct {
		Name, Salt string
		Coverage   int
		Arms       []Arm
		Layer      *Layer
	}
	Assignments []struct {
		Experiment int
		Unit       string
		Arm        string
		Because    Exclusion
		Bucket     uint16
	}
	Holdouts []struct {
		Holdout Holdout
		In      []string
		Of      []string
	}
}

func readVectors(t *testing.T) vectors {
	t.Helper()
	raw, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", vectorFile, err)
	}
	if len(v.Buckets) == 0 || len(v.Assignments) == 0 || len(v.Holdouts) == 0 {
		t.Fatalf("%s: a list is empty: %d buckets, %d assignments, %d holdouts", vectorFile, len(v.Buckets), len(v.Assignments), len(v.Holdouts))
	}
	return v
}

func TestVectors(t *testing.T) {
	v := readVectors(t)
	for _, c := range v.Buckets {
		hash := fmt.Sprintf("%016x", xxhash.Sum64String(string(c.Kind)+"\x00"+c.Salt+"\x00"+c.Unit))
		if hash != c.Hash {
			t.Errorf("hash of %s, %q, %q: %s, want %s", c.Kind, c.Salt, c.Unit, hash, c.Hash)
		}
		if got, err := Bucket(c.Kind, c.Salt, c.Unit); err != nil || got != c.Bucket {
			t.Errorf("Bucket(%s, %q, %q) = %d, %v; want %d", c.Kind, c.Salt, c.Unit, got, err, c.Bucket)
		}
	}

	var assigners []*Assigner
	for _, e := range v.Experiments {
		a, err := Compile(&Experiment{Name: e.Name, Salt: e.Salt, Arms: e.Arms, Coverage: e.Coverage, Layer: e.Layer})
		if err != nil {
			t.Fatal(err)
		}
		assigners = append(assigners, a)
	}
	for _, c := range v.Assignments {
		want := Assignment{
			Arm: c.Arm, Index: slices.Index(assigners[c.Experiment].Arms(), c.Arm),
			Excluded: c.Because != NotExcluded, Because: c.Because, Bucket: c.Bucket,
		}
		if got, err := assigners[c.Experiment].Assign(c.Unit); err != nil || got != want {
			t.Errorf("experiment %d, unit %q: %+v, %v; want %+v", c.Experiment, c.Unit, got, err, want)
		}
	}

	for _, c := range v.Holdouts {
		if err := c.Holdout.Validate(); err != nil {
			t.Fatal(err)
		}
		for _, unit := range c.Of {
			want := slices.Contains(c.In, unit)
			if got, err := c.Holdout.In(unit); err != nil || got != want {
				t.Errorf("holdout %+v, unit %q: %v, %v; want %v", c.Holdout, unit, got, err, want)
			}
		}
	}
}

// The vectors come from a second implementation, in another language, that
// shares nothing with this one.
func TestVectorsAgreeWithPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatalf("this test compares %s with an independent implementation and needs python3 (3.6 or newer, "+
			"standard library only): install it, or put it on the PATH: %v", vectorFile, err)
	}
	command := exec.Command(python, "-B", "testdata/vectors.py")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	got, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, stderr.String())
	}
	want, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what testdata/vectors.py computes; see what changed with: python3 testdata/vectors.py | diff %s -", vectorFile, vectorFile)
	}
}

// The published table is written by the code.
func TestPublishedTable(t *testing.T) {
	const begin, end = "<!-- begin: test vectors -->\n", "<!-- end: test vectors -->\n"
	doc, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(doc), begin)
	if !found {
		t.Fatalf("%s has no line %q", docFile, begin)
	}
	table, after, found := strings.Cut(rest, end)
	if !found {
		t.Fatalf("%s has no line %q", docFile, end)
	}
	want := vectorTable(t, readVectors(t))
	if table == want {
		return
	}
	if !*update {
		t.Fatalf("the table in %s is not what the code computes; go test -run TestPublishedTable -update rewrites it\n--- there\n%s\n--- computed\n%s", docFile, table, want)
	}
	if err := os.WriteFile(docFile, []byte(before+begin+want+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func vectorTable(t *testing.T, v vectors) string {
	var b strings.Builder
	b.WriteString("\n| kind | salt | unit | xxhash64 | bucket |\n| --- | --- | --- | --- | ---: |\n")
	for _, c := range v.Buckets {
		if len(c.Unit) > 40 {
			continue
		}
		bucket, err := Bucket(c.Kind, c.Salt, c.Unit)
		if err != nil {
			t.Fatal(err)
		}
		var d xxhash.Digest
		d.Reset()
		fmt.Fprintf(&d, "%s\x00%s\x00%s", c.Kind, c.Salt, c.Unit)
		fmt.Fprintf(&b, "| %s | `\"%s\"` | `\"%s\"` | `%016x` | %d |\n", c.Kind, c.Salt, c.Unit, d.Sum64(), bucket)
	}
	b.WriteString("\n")
	return b.String()
}
