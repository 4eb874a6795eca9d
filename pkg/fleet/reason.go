package fleet

// Code is a kebab-case reason code; docs/reasons.md lists each with an example
// and what the user can do about it.
type Code string

// The codes of reasons and warnings. Adding one needs a row in docs/reasons.md.
const (
	CodeHelmTemplate    Code = "helm-template"
	CodeUnparsable      Code = "unparsable"
	CodePlaceholder     Code = "placeholder"
	CodeSecret          Code = "secret"
	CodeImageUnread     Code = "image-unread"
	CodeImageDrift      Code = "image-drift"
	CodeImageUnknown    Code = "image-unknown"
	CodeImageMissing    Code = "image-missing"
	CodeImageRefused    Code = "image-refused"
	CodeImageFailed     Code = "image-failed"
	CodeRemoteBase      Code = "remote-base"
	CodePlugin          Code = "plugin"
	CodeAlias           Code = "alias"
	CodeDuplicateKey    Code = "duplicate-key"
	CodeScript          Code = "script"
	CodeLostOption      Code = "lost-option"
	CodeCollectorOption Code = "collector-option"
	CodeCodeOption      Code = "code-option"
	CodeDeadOption      Code = "dead-option"
	CodeToolkit         Code = "toolkit"
	CodeMixedAgents     Code = "mixed-agents"
	CodeShared          Code = "shared"
	CodeConfigFile      Code = "config-file"
	CodeNotSelected     Code = "not-selected"
	CodeReplicasZero    Code = "replicas-zero"
	CodeSidecarMissing  Code = "sidecar-missing"
	CodeUnsupportedKind Code = "unsupported-kind"
	CodeUnsupportedForm Code = "unsupported-form"
	CodeQuarantined     Code = "quarantined"
	CodeDeclined        Code = "declined"
	CodeProposed        Code = "proposed"
	CodeTooLarge        Code = "too-large"
	CodeEncrypted       Code = "encrypted"
	CodeEditRefused     Code = "edit-refused"
	CodeUntranslated    Code = "untranslated-option"
	CodeLeftover        Code = "leftover"
	CodeUnreachable     Code = "unreachable"
	CodeUnobserved      Code = "unobserved"
	CodeNoCluster       Code = "no-cluster"
	CodeSuperseded      Code = "superseded"
	CodeServiceName     Code = "service-name"
	CodeLedger          Code = "ledger"
	CodeStartup         Code = "startup-slack"
	CodeMemory          Code = "memory-slack"

	// Of the release guard.
	CodeAgentMissing   Code = "agent-missing"
	CodeSkyWalkingBack Code = "skywalking-back"

	// Of rebuilt images.
	CodeAttestation Code = "attestation-dropped"
	CodeBaseGone    Code = "base-gone"
	CodePlatform    Code = "platform"
	CodeRemoval     Code = "removal-unverified"
	CodeVolume      Code = "image-volume"
	CodeVersion     Code = "agent-version"
	CodePreflight   Code = "preflight"
	CodeJavaVersion Code = "java-version"
)

// Reason says why a workload or a file is left alone, and where.
type Reason struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	Place
}

// Warning is something a reviewer should know about a workload that is changed
// all the same.
type Warning struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	Place
}
