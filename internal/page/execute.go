package page

import (
	"html/template"
	"strings"
)

// execute runs a template whose result is HTML again.
func execute(t *template.Template, data any) (template.HTML, error) {
	var b strings.Builder
	if err := t.Execute(&b, data); err != nil {
		return "", err
	}
	return template.HTML(b.String()), nil
}

// Body runs a page's own template.
func Body(t *template.Template, data any) (template.HTML, error) { return execute(t, data) }
