package page

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// Bar is one row of a BarChart.
type Bar struct {
	Label     string
	Value     float64
	Low, High float64 // whiskers; none if both are 0
	Text      string  // beside the bar
	Tip       string
	Color     int
}

// BarChart draws horizontal bars from zero, one under the other.
type BarChart struct {
	Label string
	Bars  []Bar
}

// HTML draws it twice, for a wide and for a narrow screen; the style shows one.
func (c BarChart) HTML() template.HTML {
	return template.HTML(c.draw(860, 150, 12.5, 34, false, "wide") + c.draw(370, 0, 12, 50, true, "narrow"))
}

func (c BarChart) draw(width, labels, font, row float64, above bool, class string) string {
	most := 0.0
	for _, bar := range c.Bars {
		most = max(most, bar.Value, bar.High)
	}
	if !(most > 0) || math.IsInf(most, 0) {
		most = 1
	}
	for _, bar := range c.Bars {
		if !above {
			labels = max(labels, min(300, float64(len([]rune(bar.Label)))*font*0.6+14))
		}
	}
	values := 0.0
	for _, bar := range c.Bars {
		values = max(values, float64(len([]rune(bar.Text)))*font*0.57+12)
	}
	x := scale{0, most, labels, width - min(values, width*0.55)}
	var b strings.Builder
	open(&b, width, row*float64(len(c.Bars))+6, font, class, c.Label)
	for i, bar := range c.Bars {
		top := row*float64(i) + 4
		thick := row - 12
		if above {
			text(&b, 0, top+font, "start", "#1b2733", bar.Label)
			top += font + 5
			thick = row - font - 14
		} else {
			text(&b, labels-8, top+thick/2+font*0.36, "end", "#1b2733", bar.Label)
		}
		middle := top + thick/2
		fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="3" fill="%s" fill-opacity="0.85"><title>%s</title></rect>`,
			x.from, top, max(x.at(bar.Value)-x.from, 1), thick, Color(bar.Color), template.HTMLEscapeString(bar.Tip))
		end := x.at(bar.Value)
		if bar.High > 0 {
			end = x.at(bar.High)
			fmt.Fprintf(&b, `<path d="M%.1f %.1fH%.1fM%.1f %.1fV%.1fM%.1f %.1fV%.1f" stroke="#1b2733" stroke-width="1.5" fill="none"/>`,
				x.at(bar.Low), middle, x.at(bar.High), x.at(bar.Low), middle-5, middle+5, x.at(bar.High), middle-5, middle+5)
		}
		text(&b, end+8, middle+font*0.36, "start", "#1b2733", bar.Text)
	}
	b.WriteString("</svg>")
	return b.String()
}
