BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v3.2.0.a');
CREATE TABLE autolora_adapters (
	study VARCHAR(512) NOT NULL, 
	arm VARCHAR(128) NOT NULL, 
	trial INTEGER NOT NULL, 
	score FLOAT NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	parameters BIGINT NOT NULL, 
	allocation JSON NOT NULL, 
	tensors BLOB NOT NULL, 
	CONSTRAINT pk_autolora_adapters PRIMARY KEY (study, arm)
);
INSERT INTO "autolora_adapters" VALUES('digits','search',1,0.25,'25664d0867094d57a9db12e50e44d0dd5be3299177f6575d099f9c209e51210a',14,'{"0.weight": 2}',X'C0030000000000007B225F5F6D657461646174615F5F223A7B226175746F6C6F7261223A227B5C2261626F75745C223A207B7D2C205C22626173655C223A207B5C226469676573745C223A205C22373463383363353764353636373237623536633265616634346335646266373366656233343861366236336432353839363964326336303232663330383130325C222C205C22706172616D65746572735C223A207B5C22302E626961735C223A205B5B335D2C205C22746F7263682E666C6F617433325C225D2C205C22302E7765696768745C223A205B5B332C20345D2C205C22746F7263682E666C6F617433325C225D7D7D2C205C22666F726D61745C223A205C226175746F6C6F72615C222C205C2266756C6C5C223A205B5D2C205C226C61796572735C223A207B5C22305C223A207B5C226F776E65725C223A205C22746F7263682E6E6E2E6D6F64756C65732E636F6E7461696E65722E53657175656E7469616C5C222C205C22706172616D65746572735C223A205B5B5C227765696768745C222C205B332C20345D5D2C205B5C22626961735C222C205B335D5D5D2C205C22746965645C223A2066616C73652C205C22747970655C223A205C22746F7263682E6E6E2E6D6F64756C65732E6C696E6561722E4C696E6561725C227D7D2C205C22746172676574735C223A207B5C22302E7765696768745C223A207B5C22626C6F636B5C223A206E756C6C2C205C22636F6C756D6E735C223A20342C205C2266697273745F726F775C223A20302C205C226B696E645C223A205C226C696E6561725C222C205C226C617965725C223A205C22305C222C205C226C61796F75745C223A205C22666C61745C222C205C226E616D655C223A205C22302E7765696768745C222C205C22706172616D657465725C223A205C227765696768745C222C205C2272616E6B5C223A20322C205C22726F77735C223A20332C205C227363616C655C223A20312E307D7D2C205C2276657273696F6E5C223A20312C205C2276657273696F6E735C223A207B5C226175746F6C6F72615C223A205C22302E312E305C222C205C227361666574656E736F72735C223A205C22302E382E305C222C205C22746F7263685C223A205C22322E31342E315C227D7D227D2C22646F776E2E302E776569676874223A7B226474797065223A22463332222C227368617065223A5B322C345D2C22646174615F6F666673657473223A5B302C33325D7D2C2275702E302E776569676874223A7B226474797065223A22463332222C227368617065223A5B332C325D2C22646174615F6F666673657473223A5B33322C35365D7D7D20202000BB973C60694A3E189B993E8C8DADBEFCF45EBE98F7393E4E94D43E48BDD2BD000000000000000000000000000000000000000000000000');
CREATE TABLE autolora_alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT autolora_alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "autolora_alembic_version" VALUES('0001');
CREATE TABLE autolora_attempts (
	id INTEGER NOT NULL, 
	study VARCHAR(512) NOT NULL, 
	trial INTEGER, 
	attempt INTEGER NOT NULL, 
	worker VARCHAR(256) NOT NULL, 
	started FLOAT NOT NULL, 
	seen FLOAT NOT NULL, 
	ended FLOAT, 
	state VARCHAR(16) NOT NULL, 
	reason TEXT, 
	CONSTRAINT pk_autolora_attempts PRIMARY KEY (id), 
	CONSTRAINT uq_autolora_attempts_study UNIQUE (study, trial)
);
INSERT INTO "autolora_attempts" VALUES(1,'digits',0,1,'elsewhere:1:1',1.79555870881540513041e+09,1.79555870883639597888e+09,1.79555870884416079527e+09,'complete',NULL);
INSERT INTO "autolora_attempts" VALUES(2,'digits',1,1,'elsewhere:1:1',1.7955587088845169544e+09,1.79555870889747262002e+09,1.79555870889972209927e+09,'complete',NULL);
INSERT INTO "autolora_attempts" VALUES(3,'digits',2,1,'elsewhere:1:1',1.79555870891659450534e+09,1.79555870890973305704e+09,1.79555870893234920506e+09,'failed','interrupted');
CREATE TABLE autolora_curves (
	study VARCHAR(512) NOT NULL, 
	trial INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	train_loss FLOAT, 
	valid_loss FLOAT, 
	learning_rate FLOAT NOT NULL, 
	CONSTRAINT pk_autolora_curves PRIMARY KEY (study, trial, step)
);
INSERT INTO "autolora_curves" VALUES('digits',0,10,1.0,0.9,0.001);
INSERT INTO "autolora_curves" VALUES('digits',0,20,0.8,0.5,0.001);
INSERT INTO "autolora_curves" VALUES('digits',1,10,1.0,0.9,0.001);
INSERT INTO "autolora_curves" VALUES('digits',1,20,0.8,0.25,0.001);
CREATE TABLE autolora_finals (
	study VARCHAR(512) NOT NULL, 
	arm VARCHAR(128) NOT NULL, 
	seed BIGINT NOT NULL, 
	metric VARCHAR(128) NOT NULL, 
	trial INTEGER NOT NULL, 
	parameters BIGINT NOT NULL, 
	value FLOAT NOT NULL, 
	low FLOAT NOT NULL, 
	high FLOAT NOT NULL, 
	CONSTRAINT pk_autolora_finals PRIMARY KEY (study, arm, seed, metric)
);
INSERT INTO "autolora_finals" VALUES('digits','search',0,'accuracy',1,14,0.9,0.88,0.92);
CREATE TABLE autolora_studies (
	name VARCHAR(512) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	description JSON NOT NULL, 
	targets JSON NOT NULL, 
	groups JSON NOT NULL, 
	objective JSON NOT NULL, 
	directions JSON NOT NULL, 
	budget_parameters BIGINT, 
	head_parameters BIGINT NOT NULL, 
	versions JSON NOT NULL, 
	created FLOAT NOT NULL, 
	CONSTRAINT pk_autolora_studies PRIMARY KEY (name)
);
INSERT INTO "autolora_studies" VALUES('digits','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','{"name": "digits", "budget": {"trials": 4}, "seed": 0}','[{"name": "0.weight", "layer": "0", "parameter": "weight", "block": null, "kind": "linear", "rows": 3, "columns": 4, "first_row": 0, "layout": "flat"}]','{"all": ["0.weight"]}','["loss"]','["minimize"]',14,5,'{"torch": "2"}',1.79555870875094962125e+09);
CREATE TABLE autolora_trials (
	study VARCHAR(512) NOT NULL, 
	number INTEGER NOT NULL, 
	arm VARCHAR(128) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	claimed VARCHAR(64), 
	allocation JSON NOT NULL, 
	configuration JSON NOT NULL, 
	parameters BIGINT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	objectives JSON, 
	loss FLOAT, 
	metrics JSON, 
	reason TEXT, 
	reused_from INTEGER, 
	example_passes BIGINT NOT NULL, 
	seconds FLOAT NOT NULL, 
	peak_bytes BIGINT NOT NULL, 
	CONSTRAINT pk_autolora_trials PRIMARY KEY (study, number), 
	CONSTRAINT uq_autolora_trials_study UNIQUE (study, claimed)
);
INSERT INTO "autolora_trials" VALUES('digits',0,'search','digest-0','digest-0','{"0.weight": 1}','{"learning_rate": 0.001}',7,'complete','[0.5]',0.5,'{"accuracy": 0.5}',NULL,NULL,100,2.0,1048576);
INSERT INTO "autolora_trials" VALUES('digits',1,'search','digest-1','digest-1','{"0.weight": 2}','{"learning_rate": 0.001}',14,'complete','[0.25]',0.25,'{"accuracy": 0.75}',NULL,NULL,100,2.0,1048576);
INSERT INTO "autolora_trials" VALUES('digits',2,'search','digest-2',NULL,'{"0.weight": 1}','{"learning_rate": 0.001}',7,'failed',NULL,NULL,NULL,'interrupted',NULL,0,0.0,0);
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'digits');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_directions" VALUES(1,'MINIMIZE',1,0);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_system_attributes" VALUES(1,1,'study:metric_names','["loss"]');
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'rank.all',2.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 4}}');
INSERT INTO "trial_params" VALUES(2,1,'learning_rate',2.69388301928541159038e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.01, "log": true}}');
INSERT INTO "trial_params" VALUES(3,2,'rank.all',3.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 4}}');
INSERT INTO "trial_params" VALUES(4,2,'learning_rate',1.22960711073257194896e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.01, "log": true}}');
INSERT INTO "trial_params" VALUES(5,3,'rank.all',2.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 4}}');
INSERT INTO "trial_params" VALUES(6,3,'learning_rate',1.95788972012130024769e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.01, "log": true}}');
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_system_attributes" VALUES(1,1,'constraints','[-7]');
INSERT INTO "trial_system_attributes" VALUES(2,2,'constraints','[0]');
INSERT INTO "trial_system_attributes" VALUES(3,3,'constraints','[-7]');
INSERT INTO "trial_system_attributes" VALUES(4,4,'fixed_params','{"rank.all": 2, "learning_rate": 0.0019578897201213002}');
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_user_attributes" VALUES(1,1,'arm','"search"');
INSERT INTO "trial_user_attributes" VALUES(2,1,'parameters','7');
INSERT INTO "trial_user_attributes" VALUES(3,1,'digest','"digest-0"');
INSERT INTO "trial_user_attributes" VALUES(4,2,'arm','"search"');
INSERT INTO "trial_user_attributes" VALUES(5,2,'parameters','14');
INSERT INTO "trial_user_attributes" VALUES(6,2,'digest','"digest-1"');
INSERT INTO "trial_user_attributes" VALUES(7,3,'arm','"search"');
INSERT INTO "trial_user_attributes" VALUES(8,3,'parameters','7');
INSERT INTO "trial_user_attributes" VALUES(9,3,'digest','"digest-2"');
INSERT INTO "trial_user_attributes" VALUES(10,4,'arm','"search"');
INSERT INTO "trial_user_attributes" VALUES(11,4,'attempt','1');
INSERT INTO "trial_user_attributes" VALUES(12,4,'retry_of','2');
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,0.5,'FINITE');
INSERT INTO "trial_values" VALUES(2,2,0,0.25,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-24 22:18:28.787969','2026-11-24 22:18:28.865671');
INSERT INTO "trials" VALUES(2,1,1,'COMPLETE','2026-11-24 22:18:28.876597','2026-11-24 22:18:28.908905');
INSERT INTO "trials" VALUES(3,2,1,'FAIL','2026-11-24 22:18:28.913368','2026-11-24 22:18:28.932042');
INSERT INTO "trials" VALUES(4,3,1,'WAITING',NULL,NULL);
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO "version_info" VALUES(1,12,'5.0.0');
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE INDEX ix_trials_study_id ON trials (study_id);
COMMIT;
