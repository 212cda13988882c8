package manifest

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

const (
	tagNull  = "!!null"
	tagStr   = "!!str"
	tagInt   = "!!int"
	tagBool  = "!!bool"
	tagFloat = "!!float"
	tagTime  = "!!timestamp"
	tagMerge = "!!merge"
)

const quotedStyle = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == tagNull }

// describe names what a node is, never its value.
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "keys and values"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == tagNull:
		return "nothing"
	case n.Tag == tagInt || n.Tag == tagFloat:
		return "a number"
	case n.Tag == tagBool:
		return "true or false"
	case n.Tag == tagTime:
		return "a date"
	default:
		return "text"
	}
}

// found shows a scalar as it is written, for a sentence about a value that is no secret's, and describes anything else.
func found(n *yaml.Node) string {
	switch {
	case n.Kind != yaml.ScalarNode || n.Tag == tagNull:
		return describe(n)
	case n.Tag == tagStr || n.Tag == "":
		return strconv.Quote(clip(n.Value))
	default:
		return visible(clip(n.Value))
	}
}

func setString(r rule) setter {
	return func(d *decoder, n *yaml.Node, v reflect.Value) {
		if isNull(n) {
			return
		}
		if n.Kind != yaml.ScalarNode {
			d.fail(n, "expected text, found %s", describe(n))
			return
		}
		text := n.Value
		if to, ok := r.also[text]; ok {
			text = to
		}
		if len(r.enum) > 0 && text != "" && !slices.Contains(r.enum, text) {
			d.fail(n, "expected %s, found %q%s", oneOf(r.enum), clip(text), meant(text, r.enum))
			return
		}
		v.SetString(text)
	}
}

// setScalarText reads any scalar as text, as flyctl does for env: numbers in their shortest form.
func setScalarText(d *decoder, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.ScalarNode {
		d.fail(n, "expected text, found %s", describe(n))
		return
	}
	v.SetString(scalarText(n))
}

func scalarText(n *yaml.Node) string {
	switch n.Tag {
	case tagNull:
		return ""
	case tagStr, tagTime, "":
		return n.Value
	}
	switch value := scalarValue(n).(type) {
	case string:
		return value
	default:
		return fmt.Sprint(value)
	}
}

func setBool(d *decoder, n *yaml.Node, v reflect.Value) {
	if isNull(n) {
		return
	}
	b, ok := boolOf(n)
	if !ok {
		d.fail(n, "expected true or false, found %s", found(n))
		return
	}
	v.SetBool(b)
}

// boolOf reads true and false, and of plain text the words of YAML 1.1.
func boolOf(n *yaml.Node) (value, ok bool) {
	if n.Kind != yaml.ScalarNode {
		return false, false
	}
	if n.Tag == tagBool {
		return strings.EqualFold(n.Value, "true"), strings.EqualFold(n.Value, "true") || strings.EqualFold(n.Value, "false")
	}
	if n.Tag != tagStr || n.Style&quotedStyle != 0 {
		return false, false
	}
	switch n.Value {
	case "y", "Y", "yes", "Yes", "YES", "on", "On", "ON":
		return true, true
	case "n", "N", "no", "No", "NO", "off", "Off", "OFF":
		return false, true
	default:
		return false, false
	}
}

func setInt(r rule) setter {
	return func(d *decoder, n *yaml.Node, v reflect.Value) {
		if isNull(n) {
			return
		}
		i, ok := intOf(n, r.lax)
		if !ok {
			hint := ""
			if n.Kind == yaml.ScalarNode && n.Tag == tagStr && isNumber(n.Value) {
				hint = "; write it without quotes"
			}
			d.fail(n, "expected a whole number, found %s%s", found(n), hint)
			return
		}
		if (r.min != nil && i < *r.min) || (r.max != nil && i > *r.max) {
			d.fail(n, "expected %s, found %d", between(r), i)
			return
		}
		v.SetInt(int64(i))
	}
}

func intOf(n *yaml.Node, lax bool) (int, bool) {
	if n.Kind != yaml.ScalarNode {
		return 0, false
	}
	switch n.Tag {
	case tagInt, tagFloat:
		switch x := scalarValue(n).(type) {
		case int64:
			return int(x), true
		case float64:
			return int(x), x == math.Trunc(x) && math.Abs(x) < 1<<53
		}
	case tagStr:
		if lax {
			i, err := strconv.Atoi(n.Value)
			return i, err == nil
		}
	}
	return 0, false
}

func setFloat(d *decoder, n *yaml.Node, v reflect.Value) {
	if isNull(n) {
		return
	}
	switch x := scalarValue(n).(type) {
	case int64:
		v.SetFloat(float64(x))
	case float64:
		v.SetFloat(x)
	default:
		d.fail(n, "expected a number, found %s", found(n))
	}
}

func setDuration(r rule) setter {
	return func(d *decoder, n *yaml.Node, v reflect.Value) {
		if isNull(n) || (n.Kind == yaml.ScalarNode && n.Value == "") {
			return
		}
		span, ok := durationOf(n, r.unit)
		if !ok {
			d.fail(n, "expected a duration such as 30s or 1m30s, found %s", found(n))
			return
		}
		v.SetInt(int64(span))
	}
}

func durationOf(n *yaml.Node, unit string) (Duration, bool) {
	if n.Kind != yaml.ScalarNode {
		return 0, false
	}
	if n.Tag == tagInt || n.Tag == tagFloat {
		scale := map[string]time.Duration{"s": time.Second, "ms": time.Millisecond}[unit]
		i, ok := intOf(n, false)
		if !ok || scale == 0 || int64(i) > math.MaxInt64/int64(scale) || int64(i) < math.MinInt64/int64(scale) {
			return 0, false
		}
		return Duration(time.Duration(i) * scale), true
	}
	span, err := time.ParseDuration(n.Value)
	return Duration(span), err == nil
}

func setSecret(d *decoder, n *yaml.Node, v reflect.Value) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.ScalarNode {
		d.fail(n, "expected text, found %s", describe(n))
		return
	}
	v.Set(reflect.ValueOf(NewSecret(n.Value)))
}

func setAutostop(d *decoder, n *yaml.Node, v reflect.Value) {
	if b, ok := boolOf(n); ok {
		v.SetString(map[bool]string{true: "stop", false: "off"}[b])
		return
	}
	setString(rule{enum: []string{"off", "stop", "suspend"}})(d, n, v)
}

func setAny(_ *decoder, n *yaml.Node, v reflect.Value) {
	if value := valueOf(n); value != nil {
		v.Set(reflect.ValueOf(value))
	}
}

func isNumber(s string) bool {
	_, err := strconv.Atoi(s)
	return err == nil
}

func between(r rule) string {
	switch {
	case r.min == nil:
		return fmt.Sprintf("at most %d", *r.max)
	case r.max == nil:
		return fmt.Sprintf("at least %d", *r.min)
	default:
		return fmt.Sprintf("a number from %d to %d", *r.min, *r.max)
	}
}

// setConcurrency reads limits, also in Fly's old form "soft,hard".
func setConcurrency(plain setter) setter {
	return func(d *decoder, n *yaml.Node, v reflect.Value) {
		if n.Kind != yaml.ScalarNode || isNull(n) {
			plain(d, n, v)
			return
		}
		soft, hard, _ := strings.Cut(n.Value, ",")
		s, err1 := strconv.Atoi(strings.TrimSpace(soft))
		h, err2 := strconv.Atoi(strings.TrimSpace(hard))
		if err1 != nil || err2 != nil {
			d.fail(n, "expected type, soft_limit and hard_limit, or both limits as text such as \"20,25\", found %s", found(n))
			return
		}
		v.Set(reflect.ValueOf(Concurrency{Type: "requests", SoftLimit: s, HardLimit: h}))
	}
}
