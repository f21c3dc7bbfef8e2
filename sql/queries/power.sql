-- name: traffic_by_intent
SELECT c.intent, sum(c.requests) AS requests, sum(c.sampled) AS sampled, min(c.first_at) AS first_at,
    max(c.last_at) AS last_at
FROM cells c
WHERE c.block > (SELECT max(n.block) FROM cells n) - :blocks
GROUP BY c.intent ORDER BY c.intent

-- name: deployments_begun
SELECT intent, count(*) AS begun
FROM (SELECT intent, deployment, min(block) AS first_block FROM cells GROUP BY intent, deployment) d
WHERE first_block > (SELECT max(n.block) FROM cells n) - :blocks
GROUP BY intent

-- name: judge_against_people
SELECT k.intent, CASE WHEN v.label = 'hallucinated' THEN 1 ELSE 0 END AS flagged, o.y, count(*) AS labels,
    sum(1.0 / (o.pi * o.pi1)) AS weight
FROM outcomes o
JOIN test_keys k ON k.test_key = o.test_key
JOIN verdicts v ON v.request_id = o.request_id AND v.indicator = o.indicator AND v.decided = 1
WHERE o.indicator = :indicator AND o.reviewed = 1 AND o.returned = 1
GROUP BY k.intent, CASE WHEN v.label = 'hallucinated' THEN 1 ELSE 0 END, o.y
