// SPDX-License-Identifier: AGPL-3.0-only

package policy

import (
	"slices"
	"strings"

	"github.com/signet-charm/signet/internal/cert"
)

// role is what an application is in a Kubernetes cluster. It is told by the name under which Juju knows it, which the
// operator of the model chose and nobody inside it can change; where another name was chosen, an exception says so.
type role string

const (
	controlPlane role = "control-plane"
	node         role = "node"
)

func roleNames() []string { return []string{string(controlPlane), string(node)} }

// applications are those of Charmed Kubernetes and Canonical Kubernetes, and signet's own; "-" and a suffix may follow.
func (r role) applications() []string {
	if r == controlPlane {
		return []string{"kubernetes-control-plane", "kubernetes-master", "k8s-control-plane"}
	}
	return []string{"kubernetes-worker", "k8s-worker", "signet-node"}
}

// canonicalControlPlane is the charm of Canonical Kubernetes, whose name is the beginning of its worker's.
const canonicalControlPlane = "k8s"

// rolesOf gives the roles of an application, with those that follow: a control plane has kubelets too.
func rolesOf(app string, exceptions []Exception) []role {
	var roles []role
	for _, r := range []role{controlPlane, node} {
		named := slices.ContainsFunc(r.applications(), func(name string) bool {
			return app == name || strings.HasPrefix(app, name+"-")
		})
		given := slices.ContainsFunc(exceptions, func(e Exception) bool { return e.Role == string(r) })
		if named || given || r == controlPlane && app == canonicalControlPlane {
			roles = append(roles, r)
		}
	}
	if slices.Contains(roles, controlPlane) && !slices.Contains(roles, node) {
		roles = append(roles, node)
	}
	return roles
}

// has reports whether the application has a role, and notes that it was needed.
func (j *judgement) has(r role) bool {
	if !slices.Contains(j.roles, r) {
		return false
	}
	j.use("role " + string(r))
	return true
}

const (
	nodeUser  = "system:node:" // followed by the node's name (Kubernetes, node authorization)
	nodeGroup = "system:nodes" // for users of that form
	userFloor = "system:"      // users and groups with this beginning are Kubernetes' own
	groupsOf  = "kubeadm:"     // and these are kubeadm's: kubeadm:cluster-admins may do everything
	apiServer = "system:kube-apiserver"
)

// roleFor gives the role that a user of Kubernetes' own has; empty where none does.
func roleFor(user string) role {
	switch user {
	case apiServer, "system:kube-controller-manager", "system:kube-scheduler":
		return controlPlane
	case "system:kube-proxy", "system:kubelet":
		return node
	}
	if name, found := strings.CutPrefix(user, nodeUser); found && isNodeName(name) {
		return node
	}
	return ""
}

// isNodeName reports whether a text can be the name of a node: an RFC 1123 subdomain in lower case.
func isNodeName(text string) bool {
	names, err := cert.ParseNames([]string{text})
	return err == nil && len(names.DNS) == 1 && names.DNS[0] == text && !strings.HasPrefix(text, "*")
}

// NodeOf gives the node's name of a user such as "system:node:worker-1"; false for all others.
func NodeOf(user string) (string, bool) { return strings.CutPrefix(user, nodeUser) }

// reservedUser reports whether a client of this common name is somebody to Kubernetes: by its own users' beginning, or as
// one of the names that the API server's option requestheader-allowed-names commonly lists, who may speak for anybody.
func reservedUser(name string) bool {
	plain := strings.ToLower(strings.TrimSpace(name))
	return strings.HasPrefix(plain, userFloor) || slices.Contains([]string{"client", "front-proxy-client", "aggregator"}, plain)
}

// reservedGroup reports whether Kubernetes, or kubeadm, gives a meaning to an organization.
func reservedGroup(name string) bool {
	plain := strings.ToLower(strings.TrimSpace(name))
	return strings.HasPrefix(plain, userFloor) || strings.HasPrefix(plain, groupsOf)
}

// kubernetesName reports whether pods reach the API server by a name.
func kubernetesName(name string) bool {
	return name == "kubernetes" || name == "kubernetes.default" || name == "kubernetes.default.svc" ||
		strings.HasPrefix(name, "kubernetes.default.svc.")
}
