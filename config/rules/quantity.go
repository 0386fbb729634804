package rules

import (
	"math/big"
	"regexp"
	"strings"
	"sync"
)

var quantity = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$`)
})

// IsQuantity reports whether text has the form of a Kubernetes quantity: 200Mi, 0.5, 1e3.
func IsQuantity(text string) bool { return quantity().MatchString(text) }

// parseQuantity reads a quantity; nil when text is not one.
func parseQuantity(text string) *big.Rat {
	parts := quantity().FindStringSubmatch(text)
	if parts == nil {
		return nil
	}
	number, suffix := parts[1], parts[2]
	if len(suffix) > 1 && strings.ContainsAny(suffix[:1], "eE") && suffix[1] != 'i' {
		number, suffix = number+suffix, ""
	}
	if len(number) > 40 { // 1e999999999 would take all memory
		return nil
	}
	value, ok := new(big.Rat).SetString(number)
	if !ok {
		return nil
	}
	return value.Mul(value, unit(suffix))
}

// unit is what a suffix of a quantity stands for.
func unit(suffix string) *big.Rat {
	value := big.NewRat(1, 1)
	switch suffix {
	case "":
		return value
	case "n", "u", "m":
		for range len("num") - strings.Index("num", suffix) {
			value.Quo(value, big.NewRat(1000, 1))
		}
		return value
	}
	base := big.NewRat(1000, 1)
	if strings.HasSuffix(suffix, "i") {
		base.SetInt64(1024)
	}
	for range 1 + strings.Index("KMGTPE", strings.ToUpper(suffix[:1])) {
		value.Mul(value, base)
	}
	return value
}
