package check

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// documents are the pages of the repository.
func documents(t *testing.T) []string {
	t.Helper()
	pages := []string{"README.md", "DESIGN.md", "CHANGELOG.md"}
	for _, folder := range []string{"docs", "examples", "bench"} {
		err := fs.WalkDir(os.DirFS(root), folder, func(name string, _ fs.DirEntry, err error) error {
			if strings.HasSuffix(name, ".md") {
				pages = append(pages, name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return pages
}

// anchors are what can be linked to on a page, as forges name headings.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	text = regexp.MustCompile("(?ms)^```.*?^```").ReplaceAllString(text, "")
	for _, h := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N}_ -]`).ReplaceAllString(strings.ToLower(h[1]), "")
		found[strings.ReplaceAll(name, " ", "-")] = true
	}
	return found
}

// Every link from page to page leads somewhere, and from the index to every page.
func TestLinksLeadSomewhere(t *testing.T) {
	links := 0
	for _, page := range documents(t) {
		for _, l := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(read(t, page), -1) {
			if strings.Contains(l[1], "://") {
				continue
			}
			links++
			file, anchor, _ := strings.Cut(l[1], "#")
			to := page
			if file != "" {
				to = filepath.Join(filepath.Dir(page), file)
			}
			info, err := os.Stat(path(to))
			if err != nil {
				t.Errorf("%s links to %s, which does not exist", page, l[1])
				continue
			}
			if anchor != "" && (info.IsDir() || !anchors(read(t, to))[anchor]) {
				t.Errorf("%s links to %s, which has no such heading", page, l[1])
			}
		}
	}
	if links < 20 {
		t.Errorf("%d links found: the pattern has missed most", links)
	}
	index := read(t, "docs/README.md")
	pages, err := filepath.Glob(path("docs/*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages {
		if name := filepath.Base(p); name != "README.md" && !strings.Contains(index, "("+name+")") {
			t.Errorf("docs/README.md does not lead to docs/%s", name)
		}
	}
}

// Where a page says which test shows something, there is that test.
func TestPagesNameTestsThatExist(t *testing.T) {
	declared := map[string]bool{}
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		for _, f := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(read(t, name), -1) {
			declared[f[1]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, page := range documents(t) {
		for _, n := range regexp.MustCompile("`(Test[A-Z]\\w+)").FindAllStringSubmatch(read(t, page), -1) {
			named++
			if !declared[n[1]] {
				t.Errorf("%s names %s, which is no test", page, n[1])
			}
		}
	}
	if named < 20 {
		t.Errorf("%d tests found on the pages: the pattern has missed most", named)
	}
}
