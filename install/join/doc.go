// Package join is how a kubelet gets to its cluster: whom to trust, credentials, and what the cluster says of the kubelet.
//
// A [Discovery] begins with the address of an API server, a bootstrap token, and something by which the cluster is known: a pin
// of its CA, or the CA itself. What it finds are [Credentials], a kubeconfig; others are given as one. kubelet asks for its
// client certificate itself, by a request (CSR) that the cluster approves and signs, and registers its Node.
//
// A token is a secret that joins hosts to a cluster, so it is shown to nobody who has not proved to be that cluster. It is in no
// error and no log.
//
// Whatever goes wrong is an [Error] in a [State].
package join
