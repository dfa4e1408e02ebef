DROP TABLE orchestration.webhook_inbox;
