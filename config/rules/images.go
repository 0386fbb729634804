package rules

import (
	"fmt"
	"strings"
)

// imageGCLowMustBeLessThanHigh: "imageGCLowThresholdPercent %v must be less than imageGCHighThresholdPercent %v".
func imageGCLowMustBeLessThanHigh(s *Setup) {
	const low, high = "imageGCLowThresholdPercent", "imageGCHighThresholdPercent"
	l, known := s.integer(low)
	h, knownToo := s.integer(high)
	if known && knownToo && l >= h {
		s.refuse(s.oneGiven(high, low), "imageGCLowThresholdPercent %d must be less than imageGCHighThresholdPercent %d", l, h)
	}
}

// imageMaximumGCAgeMustBeGreater: "imageMaximumGCAge %v must be greater than imageMinimumGCAge %v".
func imageMaximumGCAgeMustBeGreater(s *Setup) {
	longest, known := s.duration("imageMaximumGCAge")
	shortest, knownToo := s.duration("imageMinimumGCAge")
	switch {
	case known && longest != 0 && s.off("ImageMaximumGCAge"):
		s.refuse("imageMaximumGCAge", "needs the feature gate ImageMaximumGCAge, which is off")
	case known && knownToo && longest > 0 && longest <= shortest:
		s.refuse(s.oneGiven("imageMaximumGCAge", "imageMinimumGCAge"), "imageMaximumGCAge %s must be greater than imageMinimumGCAge %s", longest, shortest)
	}
}

// maxParallelImagePullsNeedsParallel: "maxParallelImagePulls cannot be larger than 1 unless SerializeImagePulls
// (--serialize-image-pulls) is set to false". Unless somebody sets it, that goes by maxParallelImagePulls.
func maxParallelImagePullsNeedsParallel(s *Setup) {
	n, known := s.integer("maxParallelImagePulls")
	if serial, given := s.given("serializeImagePulls"); known && n > 1 && given && serial == true {
		s.refuse("maxParallelImagePulls", "%d: cannot be larger than 1 unless serializeImagePulls is false", n)
	}
}

// imagePullVerificationNeedsGate: "`imagePullCredentialsVerificationPolicy` must not be set if KubeletEnsureSecretPulledImages
// feature gate is not enabled", "can't set `preloadedImagesVerificationAllowlist` if ... is not NeverVerifyAllowlistedImages".
func imagePullVerificationNeedsGate(s *Setup) {
	const policy, list, gate = "imagePullCredentialsVerificationPolicy", "preloadedImagesVerificationAllowlist", "KubeletEnsureSecretPulledImages"
	if s.off(gate) {
		if s.isSet(policy) {
			s.refuse(policy, "needs the feature gate %s, which is off", gate)
		}
		if len(s.list(list)) > 0 {
			s.refuse(list, "needs the feature gate %s, which is off", gate)
		}
		return
	}
	value, _ := s.given(policy)
	if len(s.list(list)) > 0 && s.complete(policy) && value != "NeverVerifyAllowlistedImages" {
		s.refuse(list, "needs %s: NeverVerifyAllowlistedImages", policy)
	}
}

// preloadedImagesAllowlistPatterns: "invalid image pattern in `preloadedImagesVerificationAllowlist`".
func preloadedImagesAllowlistPatterns(s *Setup) {
	const list = "preloadedImagesVerificationAllowlist"
	for i, entry := range s.list(list) {
		pattern, _ := entry.(string)
		name, wildcard := strings.CutSuffix(pattern, "/*")
		problem := ""
		switch {
		case pattern != strings.TrimSpace(pattern):
			problem = "spaces around it are not allowed"
		case name == "":
			problem = "an image or REGISTRY/* is wanted"
		case strings.Contains(name, "*"):
			problem = "* may only be the last part, as in REGISTRY/*"
		case !wildcard && strings.ContainsAny(name[strings.LastIndexByte(name, '/')+1:], ":@"):
			problem = "neither tag nor digest is allowed"
		}
		if problem != "" {
			s.refuse(fmt.Sprintf("%s[%d]", list, i), "%q: %s", pattern, problem)
		}
	}
}
