BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE change (
	position INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	id BLOB NOT NULL, 
	at BIGINT NOT NULL, 
	actor TEXT NOT NULL, 
	role TEXT NOT NULL, 
	origin TEXT NOT NULL, 
	action TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	object_id TEXT NOT NULL, 
	object_name TEXT NOT NULL, 
	"before" TEXT NOT NULL, 
	"after" TEXT NOT NULL, 
	because TEXT NOT NULL, 
	CONSTRAINT uq_change_id UNIQUE (id)
);
INSERT INTO "change" VALUES(1,X'00000000000000000000000000000003',1793696887060504,'root','admin','10.0.0.9','grant.issue','grant','id-of-alice-laptop','alice-laptop','','{"label":"alice-laptop"}','new laptop');
INSERT INTO "change" VALUES(2,X'00000000000000000000000000000004',1793696887060504,'root','admin','10.0.0.9','grant.issue','grant','id-of-github','github','','{"label":"alice-laptop"}','new laptop');
CREATE TABLE grant (
	id TEXT NOT NULL, 
	label TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	servers TEXT, 
	tools TEXT, 
	proofs TEXT NOT NULL, 
	claim TEXT, 
	issued_at BIGINT NOT NULL, 
	issued_by TEXT NOT NULL, 
	expires_at BIGINT, 
	revoked_at BIGINT, 
	revoked_by TEXT NOT NULL, 
	because TEXT NOT NULL, 
	note TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	mac TEXT NOT NULL, 
	CONSTRAINT pk_grant PRIMARY KEY (id)
);
INSERT INTO "grant" VALUES('grant0000001','alice-laptop','alice',NULL,'["github__get_*"]','[["grant0000001","ee786be1c820d17ca933ab58167aea7ea472aa9de93badcdb24684842ff43784",null]]',NULL,1793696887060504,'root',1801472887060504,NULL,'','','café   line',1,'fb2b143efac3f82dd1bce1d6d61ca44ee9a7d1408dfe2e9b2dfba39d1422e131');
CREATE TABLE operator (
	name TEXT NOT NULL, 
	role TEXT NOT NULL, 
	token_id TEXT NOT NULL, 
	token_hmac TEXT NOT NULL, 
	code_hmac TEXT NOT NULL, 
	code_until BIGINT, 
	expires_at BIGINT, 
	created_at BIGINT, 
	ended_at BIGINT, 
	version INTEGER NOT NULL, 
	mac TEXT NOT NULL, 
	CONSTRAINT pk_operator PRIMARY KEY (name)
);
INSERT INTO "operator" VALUES('root','admin','tttttttttttt','1212121212121212121212121212121212121212121212121212121212121212','3434343434343434343434343434343434343434343434343434343434343434',1793700487060504,NULL,1793696887060504,NULL,1,'97591c674ed0c921e1dec2595c8020dbc76c08bf389a30be12e91585a1d605f5');
CREATE TABLE override (
	kind TEXT NOT NULL, 
	id TEXT NOT NULL, 
	verdict TEXT NOT NULL, 
	because TEXT NOT NULL, 
	at BIGINT NOT NULL, 
	"by" TEXT NOT NULL, 
	lifted INTEGER NOT NULL, 
	version INTEGER NOT NULL, 
	mac TEXT NOT NULL, 
	CONSTRAINT pk_override PRIMARY KEY (kind, id)
);
INSERT INTO "override" VALUES('grant','file-0123456789ab','revoked','left',1793696887060504,'root',0,1,'e1185be70aae56611704e42e3f263e056bede29dbbdf68a62bf94b708934a3a5');
CREATE TABLE record (
	position INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	id BLOB NOT NULL, 
	at BIGINT NOT NULL, 
	subject TEXT NOT NULL, 
	grant_id TEXT NOT NULL, 
	grant_label TEXT NOT NULL, 
	route TEXT NOT NULL, 
	server TEXT NOT NULL, 
	method TEXT NOT NULL, 
	tool TEXT NOT NULL, 
	decision VARCHAR(16) NOT NULL, 
	rule TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	client_ip TEXT NOT NULL, 
	client_name TEXT NOT NULL, 
	client_version TEXT NOT NULL, 
	arguments TEXT NOT NULL, 
	repeats INTEGER NOT NULL
);
CREATE TABLE sealing_key (
	key_id TEXT NOT NULL, 
	CONSTRAINT pk_sealing_key PRIMARY KEY (key_id)
);
INSERT INTO "sealing_key" VALUES('a498206f');
CREATE TABLE seen (
	grant_id TEXT NOT NULL, 
	client TEXT NOT NULL, 
	at BIGINT NOT NULL, 
	address TEXT NOT NULL, 
	CONSTRAINT pk_seen PRIMARY KEY (grant_id, client)
);
CREATE TABLE server (
	id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	folded TEXT NOT NULL, 
	reach TEXT NOT NULL, 
	idle TEXT NOT NULL, 
	marks TEXT NOT NULL, 
	plain TEXT NOT NULL, 
	disabled INTEGER NOT NULL, 
	because TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	created_by TEXT NOT NULL, 
	ended_at BIGINT, 
	note TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	mac TEXT NOT NULL, 
	CONSTRAINT pk_server PRIMARY KEY (id)
);
INSERT INTO "server" VALUES('00000000-0000-0000-0000-000000000001','github','github','{"transport":"http","url":"v1:r4siD6zxGvUnBbUTW6KV9q0bsf_gCJAtfD29q3q1UMr76RmWgc5dUtZ_S9ser-h1vDr_p3z9hFXY1G8pzm2hGtllFpZPlE4Qtpg=","shown_url":"https://example.com/mcp","headers":{"Authorization":"v1:wKCv99FfChmw8DINm2D5W0GJj-9k03-UbL6iKWwnauCAIQTh45C9aH_yt51MNQmiIQ==","X-Team":"v1:97pPcCDXYKw5JwJxT6wLPniEFVX6NlR3OI5auLVQAok="}}','[false,30.5,60.0,300.0]','[["get_*"],["put_*","x"]]','["X-Team"]',0,'',1793696887060504,'root',NULL,'edited',2,'05655af6f86ccf50b35dd77261d2a8cb0e0598d8f70c7e4d93d9264e9641072f');
INSERT INTO "server" VALUES('00000000-0000-0000-0000-000000000002','files','files','{"transport":"stdio","command":"npx","args":["v1:HPUkV62f082aevrgHqT4I_wpDcuFcsF81VyGFDFm","v1:zsRJmXtCrCNR-h2q5QcWbJgvnLfRvfqA9OuH5mYLhNdvk5YvKEsq"],"env":{"API_KEY":"v1:dzjx8iLYHwWsJqV3ga6yPUJnYVwP6PxT8768gW_rvMbfrTdWXddC"},"cwd":"/srv"}','[false,30.5,60.0,300.0]','[["get_*"],["put_*","x"]]','["X-Team"]',0,'',1793696887060504,'root',NULL,'',1,'ab60243fba6e2c14b2a35f0d593d95d6504cc3fcb97cbc1f7188f46fdeb86c08');
CREATE TABLE server_id (
	folded TEXT NOT NULL, 
	name TEXT NOT NULL, 
	uuid BLOB NOT NULL, 
	mac TEXT, 
	CONSTRAINT pk_server_id PRIMARY KEY (folded), 
	CONSTRAINT uq_server_id_uuid UNIQUE (uuid)
);
CREATE TABLE settled_through (
	writer VARCHAR(64) NOT NULL, 
	position INTEGER NOT NULL, 
	CONSTRAINT pk_settled_through PRIMARY KEY (writer)
);
CREATE TABLE settlement (
	sequence INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	position INTEGER NOT NULL, 
	at BIGINT NOT NULL, 
	outcome VARCHAR(16) NOT NULL, 
	seconds FLOAT NOT NULL, 
	detail TEXT NOT NULL, 
	CONSTRAINT fk_settlement_position FOREIGN KEY(position) REFERENCES record (position), 
	CONSTRAINT uq_settlement_position UNIQUE (position)
);
CREATE TABLE subject (
	name TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	roles TEXT NOT NULL, 
	disabled INTEGER NOT NULL, 
	because TEXT NOT NULL, 
	note TEXT NOT NULL, 
	created_at BIGINT, 
	version INTEGER NOT NULL, 
	mac TEXT NOT NULL, 
	CONSTRAINT pk_subject PRIMARY KEY (name)
);
INSERT INTO "subject" VALUES('alice','automation','["dev","ops"]',0,'','n',1793696887060504,1,'cab4519e3dc15e3edd9974c49c5e1697b5fceaec09e9b3d46bfde8ed28976f5b');
CREATE TABLE whole (
	rows BIGINT NOT NULL, 
	total TEXT NOT NULL, 
	mac TEXT NOT NULL, 
	CONSTRAINT pk_whole PRIMARY KEY (rows)
);
INSERT INTO "whole" VALUES(6,'ef165d6244df71550e3b33a2c93158693151045f3ceab640de3e083edcbe6d5d','11005d4265413d924fad7752940e374f57ecaa8a02ed57052928412c6288c55e');
CREATE INDEX ix_record_at ON record (at);
CREATE INDEX ix_record_subject ON record (subject);
CREATE INDEX ix_record_server_tool ON record (server, tool);
CREATE INDEX ix_record_not_allowed ON record (decision) WHERE decision <> 'allowed';
CREATE INDEX ix_settlement_not_ok ON settlement (position) WHERE outcome <> 'ok';
CREATE UNIQUE INDEX uq_grant_label ON grant (label) WHERE revoked_at IS NULL;
CREATE UNIQUE INDEX uq_server_folded ON server (folded) WHERE ended_at IS NULL;
CREATE INDEX ix_change_at ON change (at);
CREATE INDEX ix_change_object_id ON change (object_id);
CREATE INDEX ix_change_object_name ON change (object_name);
CREATE INDEX ix_change_actor ON change (actor);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('change',2);
COMMIT;
