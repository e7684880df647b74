// Package page makes one self-contained HTML page: the style is inside, the
// plots are SVG drawn here, nothing is loaded from elsewhere and no script runs.
package page

import (
	_ "embed"
	"html/template"
	"io"
)

//go:embed page.html
var shell string

var shellTemplate = template.Must(template.New("page").Parse(shell))

// Footnote says how a figure is computed. Refer to it with Ref.
type Footnote struct {
	ID   string
	Name string
	Text string
}

// Page is what is shown.
type Page struct {
	Title     string
	Body      template.HTML
	Footnotes []Footnote
}

// Write writes the page.
func Write(w io.Writer, p Page) error { return shellTemplate.Execute(w, p) }

// Notes numbers footnotes for a page's template: {{ref "z"}} links to one, with
// its text as a tooltip; {{about "z"}} is the text alone, for an attribute.
type Notes []Footnote

// Funcs are the functions for a template.
func (n Notes) Funcs() template.FuncMap {
	return template.FuncMap{"ref": n.ref, "about": n.about}
}

func (n Notes) find(id string) (int, *Footnote) {
	for i := range n {
		if n[i].ID == id {
			return i + 1, &n[i]
		}
	}
	return 0, nil
}

var refTemplate = template.Must(template.New("ref").Parse(`<sup class="ref"><a href="#note-{{.ID}}" title="{{.Text}}">{{.Number}}</a></sup>`))

func (n Notes) ref(id string) (template.HTML, error) {
	i, f := n.find(id)
	if f == nil {
		return "", nil
	}
	return execute(refTemplate, struct {
		*Footnote
		Number int
	}{f, i})
}

func (n Notes) about(id string) string {
	if _, f := n.find(id); f != nil {
		return f.Text
	}
	return ""
}
