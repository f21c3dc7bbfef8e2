"""The objectives that `tidegauge init` writes: they work as they are."""

EXAMPLE = """\
# Objectives as OpenSLO v1 documents, see https://github.com/OpenSLO/OpenSLO. `tidegauge check` reads them.
# `target` is the share of good answers: 0.97 allows 3 % bad ones.

apiVersion: openslo/v1
kind: Service
metadata: {name: assistant, displayName: The assistant}
spec: {description: What answers your users}
---
# Who hears of a budget that burns: at twice the objective, and at five times.
apiVersion: openslo/v1
kind: AlertPolicy
metadata: {name: budget-burns}
spec:
  alertWhenBreaching: true
  conditions:
    - kind: AlertCondition
      metadata: {name: twice}
      spec:
        severity: ticket
        condition: {kind: burnrate, op: gte, threshold: 2, lookbackWindow: 3d, alertAfter: 0m}
  notificationTargets:
    - targetRef: platform
---
apiVersion: openslo/v1
kind: AlertPolicy
metadata: {name: budget-burns-fast}
spec:
  alertWhenBreaching: true
  conditions:
    - kind: AlertCondition
      metadata: {name: five-times}
      spec:
        severity: ticket
        condition: {kind: burnrate, op: gte, threshold: 5, lookbackWindow: 1d, alertAfter: 0m}
  notificationTargets:
    - targetRef: platform
---
apiVersion: openslo/v1
kind: AlertNotificationTarget
metadata: {name: platform}
spec: {target: platform, description: One of the owners in tidegauge.yaml; contacts come from the environment}
---
# Every intent that has no objective of its own.
apiVersion: openslo/v1
kind: SLO
metadata:
  name: faithful-answers
  annotations:
    tidegauge.dev/intent: "*"
    tidegauge.dev/risk: normal           # high: at most 3 % bad answers are allowed
    tidegauge.dev/owner: platform
spec:
  description: Answers that say nothing that is made up
  service: assistant
  indicator:
    metadata: {name: hallucination}
    spec:
      ratioMetric:
        counter: true
        bad: {metricSource: {type: tidegauge, spec: {indicator: hallucination}}}
        total: {metricSource: {type: tidegauge}}
  timeWindow: [{duration: 28d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{displayName: faithful, target: 0.97}]
  alertPolicies: [{alertPolicyRef: budget-burns}, {alertPolicyRef: budget-burns-fast}]
---
# Counted over every request, judged or not: error_rate, fallback_share, task_success, latency.
apiVersion: openslo/v1
kind: SLO
metadata:
  name: answered
  annotations: {tidegauge.dev/intent: "*", tidegauge.dev/indicator: error_rate}
spec:
  service: assistant
  budgetingMethod: Occurrences
  objectives: [{target: 0.99}]
---
apiVersion: openslo/v1
kind: SLO
metadata:
  name: no-fallback
  annotations: {tidegauge.dev/intent: "*", tidegauge.dev/indicator: fallback_share}
spec:
  service: assistant
  timeWindow: [{duration: 1M, calendar: {startTime: 2026-01-01 00:00:00, timeZone: UTC}}]   # calendar months
  budgetingMethod: Occurrences
  objectives: [{target: 0.9}]
---
# Neither failed nor fell back, and no thumb down.
apiVersion: openslo/v1
kind: SLO
metadata:
  name: successful
  annotations: {tidegauge.dev/intent: "*", tidegauge.dev/indicator: task_success}
spec:
  service: assistant
  budgetingMethod: Occurrences
  objectives: [{target: 0.8}]
---
apiVersion: openslo/v1
kind: SLO
metadata:
  name: fast
  annotations: {tidegauge.dev/intent: "*"}
spec:
  service: assistant
  indicator:
    metadata: {name: latency}
    spec:
      thresholdMetric: {metricSource: {type: tidegauge, spec: {indicator: latency}}}
  budgetingMethod: Occurrences
  objectives: [{op: lte, value: 10000, target: 0.95}]   # milliseconds
"""
