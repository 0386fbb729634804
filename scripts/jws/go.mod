module github.com/kubeletctl/kubeletctl/scripts/jws

go 1.26.0

require k8s.io/cluster-bootstrap v0.37.2

require (
	github.com/google/go-cmp v0.7.0 // indirect
	golang.org/x/crypto v0.54.0 // indirect
	gopkg.in/go-jose/go-jose.v2 v2.6.3 // indirect
)
