package browsertest

import (
	"strings"
	"testing"
)

// What is wrong with a page is noticed.
func TestProblemsAreNoticed(t *testing.T) {
	Find(t)
	const fine = `<!doctype html><html><head><link rel="icon" href="data:,"></head><body><svg viewBox="0 0 80 20" style="width:100%">` +
		`<rect width="10" height="20" fill="#123456"/><rect x="10" width="10" height="20" fill="#345612"/><rect x="20" width="10" height="20" fill="#561234"/>` +
		`<rect x="30" width="10" height="20" fill="#987654"/><rect x="40" width="10" height="20" fill="#765498"/><rect x="50" width="10" height="20" fill="#549876"/>` +
		`<rect x="60" width="10" height="20" fill="#abcdef"/></svg>MORE</body></html>`
	for more, want := range map[string]string{
		`<p>text</p>`: "",
		`<script>console.error("broken")</script>`: "broken",
		`<script>undefined_function()</script>`:    "undefined_function",
		`<div style="width:2000px">too wide</div>`: "pixels wide",
		`<style>svg { display: none }</style>`:     "hardly anything",
	} {
		problems := Problems(t, []byte(strings.Replace(fine, "MORE", more, 1)), 390)
		if all := strings.Join(problems, "\n"); (want == "") != (all == "") || !strings.Contains(all, want) {
			t.Errorf("%s: found %q, want %q", more, all, want)
		}
	}
}
