package naive

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ParseExpr reads the part of CEL that Expr covers.
func ParseExpr(text string) (*Expr, error) {
	p := &parser{}
	if err := p.scan(text); err != nil {
		return nil, fmt.Errorf("%q: %w", text, err)
	}
	e, err := p.either(0)
	if err == nil && p.at < len(p.tokens) {
		err = fmt.Errorf("%q is left over", p.tokens[p.at:])
	}
	if err != nil {
		return nil, fmt.Errorf("%q: %w", text, err)
	}
	return e, nil
}

type parser struct {
	tokens []string
	at     int
}

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
	digits  = "0123456789"
)

// scan cuts the text into words with their dots, numbers, texts and signs.
func (p *parser) scan(text string) error {
	for text != "" {
		n := 0
		switch {
		case strings.ContainsRune(" \t\n", rune(text[0])):
			text = text[1:]
			continue
		case strings.IndexByte(letters, text[0]) >= 0, strings.IndexByte(digits, text[0]) >= 0:
			for n < len(text) && strings.IndexByte(letters+digits+".", text[n]) >= 0 {
				n++
			}
		case text[0] == '"' || text[0] == '\'':
			end := strings.IndexByte(text[1:], text[0])
			if end < 0 {
				return fmt.Errorf("a text has no end: %s", text)
			}
			n = end + 2
		case len(text) > 1 && slices.Contains([]string{"==", "!=", "<=", ">=", "&&", "||"}, text[:2]):
			n = 2
		case strings.IndexByte("<>!+-()", text[0]) >= 0:
			n = 1
		default:
			return fmt.Errorf("cannot read %s", text)
		}
		p.tokens = append(p.tokens, text[:n])
		text = text[n:]
	}
	return nil
}

func (p *parser) next() string {
	if p.at == len(p.tokens) {
		return ""
	}
	p.at++
	return p.tokens[p.at-1]
}

// levels are the operators with two sides, the loosest first.
var levels = [][]string{{"||"}, {"&&"}, {"==", "!=", "<", "<=", ">", ">="}, {"+", "-"}}

func (p *parser) either(level int) (*Expr, error) {
	if level == len(levels) {
		return p.one()
	}
	e, err := p.either(level + 1)
	for err == nil && p.at < len(p.tokens) && slices.Contains(levels[level], p.tokens[p.at]) {
		op := p.next()
		var right *Expr
		right, err = p.either(level + 1)
		e = Call(op, e, right)
	}
	return e, err
}

func (p *parser) one() (*Expr, error) {
	switch t := p.next(); {
	case t == "":
		return nil, fmt.Errorf("ends too early")
	case t == "(":
		return p.closed()
	case t == "!":
		e, err := p.one()
		return Call("!", e), err
	case t == "-":
		return number("-" + p.next())
	case strings.Contains(digits, t[:1]):
		return number(t)
	case t[0] == '"' || t[0] == '\'':
		return Lit(S(t[1 : len(t)-1])), nil
	case t == "true" || t == "false":
		return Lit(B(t == "true")), nil
	case t == "has" || t == "timestamp" || t == "duration":
		if p.next() != "(" {
			return nil, fmt.Errorf("%s is not called", t)
		}
		e, err := p.closed()
		if err != nil || t != "duration" {
			return Call(t, e), err
		}
		d, err := time.ParseDuration(e.Lit.S)
		return Lit(D(d.Milliseconds())), err
	case t == "now":
		return Name("now", ""), nil
	default:
		of, name, dotted := strings.Cut(t, ".")
		if !dotted {
			return Name("metric", t), nil
		}
		if !slices.Contains([]string{"event", "trigger", "user"}, of) || strings.Contains(name, ".") {
			return nil, fmt.Errorf("cannot read %s", t)
		}
		return Name(of, name), nil
	}
}

func (p *parser) closed() (*Expr, error) {
	e, err := p.either(0)
	if err == nil && p.next() != ")" {
		err = fmt.Errorf("a bracket is not closed")
	}
	return e, err
}

func number(t string) (*Expr, error) {
	if strings.Contains(t, ".") {
		f, err := strconv.ParseFloat(t, 64)
		return Lit(F(f)), err
	}
	n, err := strconv.ParseInt(t, 10, 64)
	return Lit(I(n)), err
}
