package rulefile

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const oneRule = "rules:\n  - name: NAME\n    on: a\n    where: orders == 0\n    send: {channel: c, class: ad, template: t}\n"

func TestLoadFolder(t *testing.T) {
	dir := writeFiles(t, map[string]string{
		"20.yaml":        strings.ReplaceAll(oneRule, "NAME", "second"),
		"10.yml":         strings.ReplaceAll(oneRule, "NAME", "first"),
		"30.yaml":        "# names may be used before their declaration\nmetrics: {orders: {count: purchase}}\n",
		"a.test.yaml":    "rules: [20.yaml]\ntests: []\n",
		"b_test.yaml":    "not: [read",
		"c.test.yml":     "not: [read",
		".hidden.yaml":   "not: [read",
		"README.md":      "not: [read",
		"empty.yaml":     "",
		"comment.yaml":   "# nothing\n",
		"unused.yaml.in": "not: [read",
	})
	set, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range set.Rules {
		names = append(names, r.Name)
	}
	if want := []string{"first", "second"}; !slices.Equal(names, want) {
		t.Errorf("got the rules %v, expected %v", names, want)
	}
	files, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	names = nil
	for _, f := range files {
		names = append(names, filepath.Base(f.Name))
	}
	if want := []string{"10.yml", "20.yaml", "30.yaml", "comment.yaml", "empty.yaml"}; !slices.Equal(names, want) {
		t.Errorf("read %v, expected %v", names, want)
	}
}

func TestLoadRefuses(t *testing.T) {
	dir := writeFiles(t, map[string]string{
		"a.yaml":      "metrics: {orders: {count: purchase}}\n",
		"a.test.yaml": "rules: [a.yaml]\ntests: []\n",
	})
	empty := writeFiles(t, map[string]string{"a.test.yaml": "tests: []\n"})
	a := filepath.Join(dir, "a.yaml")
	for _, test := range []struct {
		paths []string
		want  string
	}{
		{nil, "no rule file given"},
		{[]string{filepath.Join(dir, "gone.yaml")}, "name a rule file"},
		{[]string{empty}, "no rule file in the folder"},
		{[]string{a, dir}, "is given twice"},
		{[]string{filepath.Join(dir, "a.test.yaml")}, "this is a file of rule tests, not of rules"},
	} {
		set, err := Load(test.paths...)
		if err == nil || !strings.Contains(err.Error(), test.want) || set != nil {
			t.Errorf("%v: got %v, expected an error with %q", test.paths, err, test.want)
		}
	}
}

// Names are unique in the set, not only in a file, and the problem names both
// places.
func TestNamesAcrossFiles(t *testing.T) {
	text := []byte("attributes: {age: {type: int, from: event.age, on: a}}\nmetrics: {orders: {count: purchase}}\n" +
		"experiments: {x: {arms: [{name: control, weight: 1}]}}\naudiences: {lapsing: orders == 0}\n" +
		"holdout: {percent: 1, salt: s}\npolicy: {caps: [{max: 1, per: 1d}]}\n" + strings.ReplaceAll(oneRule, "NAME", "r"))
	_, err := Parse([]File{{"one.yaml", text}, {"two.yaml", text}})
	var list *ErrorList
	if !errors.As(err, &list) {
		t.Fatalf("got %v, expected an *ErrorList", err)
	}
	want := []string{
		"the attribute age is declared already, at one.yaml:1:14",
		"the metric orders is declared already, at one.yaml:2:11",
		"the experiment x is declared already, at one.yaml:3:15",
		"the audience lapsing is declared already, at one.yaml:4:13",
		"there is a holdout already, at one.yaml:5:1",
		"there is a policy already, at one.yaml:6:1",
		"a rule is called r already, at one.yaml:8:11",
	}
	var got []string
	for _, p := range list.Problems() {
		if p.File != "two.yaml" {
			t.Errorf("%s: expected it in two.yaml", p)
		}
		got = append(got, p.Message)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, expected %q", got, want)
	}
	var problem *Problem
	if !errors.As(err, &problem) || problem != list.Problems()[0] {
		t.Error("errors.As does not find the first problem")
	}
}

func TestVersion(t *testing.T) {
	parse := func(files ...File) string {
		t.Helper()
		set, err := Parse(files)
		if err != nil {
			t.Fatal(err)
		}
		return set.Version
	}
	a, b := File{"x/a.yaml", []byte("metrics: {m: {count: a}}")}, File{"b.yaml", []byte("metrics: {n: {count: a}}")}
	// printf 'a.yaml\0metrics: {m: {count: a}}\0b.yaml\0metrics: {n: {count: a}}\0' | sha256sum
	const want = "sha256:29b90ad55dd0e3eca9aaa0189862b8741f1a844c2120e3139500d2bb99bdcac0"
	if got := parse(a, b); got != want {
		t.Errorf("got %s, expected %s", got, want)
	}
	if got := parse(File{"y/a.yaml", a.Text}, b); got != want {
		t.Errorf("the folder changed the version to %s", got)
	}
	if parse(b, a) == want || parse(a) == want || parse(File{"a.yaml", b.Text}, File{"b.yaml", a.Text}) == want {
		t.Error("other files have the same version")
	}
}

// What the YAML parser would get lost in is refused before it sees it.
func TestTooMuch(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"a large file", "# " + strings.Repeat("x", maxFileSize), "at most 262144 are read"},
		{"many list items", strings.Repeat("- a\n", maxKeys+1), "more keys and list items"},
		{"many keys", strings.Repeat("a: b\n", maxKeys+1), "more keys and list items"},
		{"many odd keys", strings.Repeat("? a\n", maxKeys+1), "more keys and list items"},
		{"many anchors", "[" + strings.Repeat("&a b,", maxAnchors+1) + "]", "more keys and list items"},
		{"lists in lists", strings.Repeat("- ", 100) + "a", "nested too deeply"},
		{"brackets", strings.Repeat("[", 100_000), "nested too deeply"},
		{"empty lines in a block", "a: |\n" + strings.Repeat(" \n", maxEmpty+1), "empty lines in a row"},
	} {
		_, err := Parse([]File{{"much.yaml", []byte(test.text)}})
		var list *ErrorList
		if !errors.As(err, &list) || len(list.Problems()) != 1 || !strings.Contains(list.Problems()[0].Message, test.want) {
			t.Errorf("%s: got %.300v, expected one problem with %q", test.name, err, test.want)
		}
	}
}
