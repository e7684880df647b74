package page

import (
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"
)

// colors tell series apart, also for the colour-blind (Okabe and Ito).
var colors = []string{"#0072b2", "#d55e00", "#00795a", "#8a4f9e", "#b07d00", "#5b6875"}

// Color is that of the i-th series.
func Color(i int) string { return colors[i%len(colors)] }

// Point is one reading of a Series.
type Point struct {
	At        int64   // Unix ms
	Y         float64 // a NaN is left out
	Low, High float64 // the band around it; without a band the same as Y
	Tip       string  // what a pointer over it is told
}

// Series is one line of a chart.
type Series struct {
	Name   string
	Points []Point
	Band   bool
	Color  string // empty: the next of the palette
}

// LineChart draws values over time, with bands.
type LineChart struct {
	Label  string // for those who cannot see it
	Series []Series
	Format func(float64) string // of the values at the axis
	Marks  []float64            // horizontal lines that mean something, such as zero
	Offset int                  // of the first series' colour
	// Clip limits the axis, so that wide bands of the first days do not flatten
	// all the rest: it covers the values, and what the bands reach after Clip of
	// the points (0..1).
	Clip float64
}

// HTML draws it twice, for a wide and for a narrow screen; the style shows one.
func (c LineChart) HTML() template.HTML {
	return template.HTML(c.draw(860, 320, 11, "wide") + c.draw(370, 260, 10.5, "narrow"))
}

func (c LineChart) draw(width, height, font float64, class string) string {
	var b strings.Builder
	left, right, top, bottom := 62.0, 14.0, 12.0, 44.0
	x, y := c.scales()
	x.from, x.to = left, width-right
	y.from, y.to = height-bottom, top
	open(&b, width, height, font, class, c.Label)
	for _, v := range y.ticks(5) {
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="#e6ebef"/>`, x.from, x.to, y.at(v), y.at(v))
		text(&b, x.from-6, y.at(v)+4, "end", "#5b6875", c.Format(v))
	}
	for _, m := range c.Marks {
		if m >= y.low && m <= y.high {
			fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="#1b2733" stroke-dasharray="4 3"/>`, x.from, x.to, y.at(m), y.at(m))
		}
	}
	for _, tick := range timeTicks(x.low, x.high, int((x.to-x.from)/95)) {
		px := x.at(tick.at)
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="#9aa5b1"/>`, px, px, y.from, y.from+4)
		text(&b, min(max(px, x.from+14), x.to-18), y.from+17, "middle", "#5b6875", tick.label)
	}
	clip := fmt.Sprintf("clip-%s-%x", class, hash(c.Label))
	fmt.Fprintf(&b, `<clipPath id="%s"><rect x="%.1f" y="%.1f" width="%.1f" height="%.1f"/></clipPath><g clip-path="url(#%s)">`,
		clip, x.from, y.to, x.to-x.from, y.from-y.to, clip)
	for i, s := range c.Series {
		if s.Band {
			c.band(&b, s, c.color(i), x, y)
		}
	}
	for i, s := range c.Series {
		c.line(&b, s, c.color(i), x, y)
	}
	b.WriteString(`</g>`)
	at := left
	for i, s := range c.Series {
		fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="11" height="11" rx="2" fill="%s"/>`, at, height-17, c.color(i))
		text(&b, at+16, height-7.5, "start", "#1b2733", s.Name)
		at += 34 + float64(len([]rune(s.Name)))*font*0.62
	}
	b.WriteString("</svg>")
	return b.String()
}

func (c LineChart) color(i int) string {
	if own := c.Series[i].Color; own != "" {
		return own
	}
	return Color(i + c.Offset)
}

func (c LineChart) scales() (x, y scale) {
	x = scale{low: math.Inf(1), high: math.Inf(-1)}
	low, high := math.Inf(1), math.Inf(-1)
	cover := func(v float64) {
		if !math.IsNaN(v) {
			low, high = min(low, v), max(high, v)
		}
	}
	for _, m := range c.Marks {
		cover(m)
	}
	for _, s := range c.Series {
		for i, p := range s.Points {
			x.low, x.high = min(x.low, float64(p.At)), max(x.high, float64(p.At))
			if float64(i) >= c.Clip/3*float64(len(s.Points)) {
				cover(p.Y)
			}
			if s.Band && float64(i) >= c.Clip*float64(len(s.Points)) {
				cover(p.Low)
				cover(p.High)
			}
		}
	}
	if !(x.low <= x.high) {
		x.low, x.high = 0, 1
	}
	y.low, y.high = widen(low, high)
	return x, y
}

func (c LineChart) band(b *strings.Builder, s Series, color string, x, y scale) {
	var there, back []string
	for _, p := range s.Points {
		if math.IsNaN(p.Low) || math.IsNaN(p.High) {
			continue
		}
		// Far outside is outside: the picture is clipped.
		far := 20 * (y.high - y.low)
		px := x.at(float64(p.At))
		there = append(there, fmt.Sprintf("%.1f,%.1f", px, y.at(min(p.High, y.high+far))))
		back = append(back, fmt.Sprintf("%.1f,%.1f", px, y.at(max(p.Low, y.low-far))))
	}
	if len(there) == 0 {
		return
	}
	for i := len(back) - 1; i >= 0; i-- {
		there = append(there, back[i])
	}
	fmt.Fprintf(b, `<polygon points="%s" fill="%s" fill-opacity="0.14"/>`, strings.Join(there, " "), color)
}

func (c LineChart) line(b *strings.Builder, s Series, color string, x, y scale) {
	var points []string
	for _, p := range s.Points {
		if !math.IsNaN(p.Y) {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x.at(float64(p.At)), y.at(p.Y)))
		}
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2" stroke-linejoin="round"/>`, strings.Join(points, " "), color)
	for _, p := range s.Points {
		if !math.IsNaN(p.Y) {
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="2.6" fill="%s"><title>%s</title></circle>`, x.at(float64(p.At)), y.at(p.Y), color, template.HTMLEscapeString(p.Tip))
		}
	}
}

type timeTick struct {
	at    float64
	label string
}

// timeTicks are round moments in UTC, at most so many.
func timeTicks(low, high float64, most int) []timeTick {
	const hour = 3_600_000.0
	layout := "Jan 2"
	var step float64
	for _, s := range []float64{hour / 60, hour / 12, hour / 4, hour, 3 * hour, 6 * hour, 12 * hour, 24 * hour, 48 * hour, 7 * 24 * hour, 14 * 24 * hour, 28 * 24 * hour, 91 * 24 * hour, 364 * 24 * hour} {
		step = s
		if (high-low)/s <= float64(max(most, 2)) {
			break
		}
	}
	switch {
	case step < 24*hour && high-low <= 24*hour:
		layout = "15:04"
	case step < 24*hour:
		layout = "Jan 2 15:04"
	case high-low > 500*24*hour:
		layout = "Jan 2006"
	}
	var out []timeTick
	for i := math.Ceil(low/step - 1e-9); i*step <= high && len(out) < 50; i++ {
		out = append(out, timeTick{i * step, time.UnixMilli(int64(i * step)).UTC().Format(layout)})
	}
	return out
}

func open(b *strings.Builder, width, height, font float64, class, label string) {
	fmt.Fprintf(b, `<svg class="%s" viewBox="0 0 %.0f %.0f" font-size="%.1f" role="img" aria-label="%s">`, class, width, height, font, template.HTMLEscapeString(label))
}

func text(b *strings.Builder, x, y float64, anchor, color, s string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">%s</text>`, x, y, anchor, color, template.HTMLEscapeString(s))
}

func hash(s string) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
}
